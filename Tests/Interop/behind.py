"""Pages reach a node behind a router that translates addresses. Usage: behind.py WEFT

Prints one JSON object for each thing that held, with the seconds it took.
"""

import contextlib
import hashlib
import os
import sys

from network import Network, Node, Report, alone, until
from visitors import Page


def main(weft):
    report = Report()
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(Network())
        server = net.public("relay")
        home, cafe = net.private("home", "port-restricted"), net.private("cafe", "port-restricted")
        relay = stack.enter_context(
            Node(weft, server, relay_service="on",
                 more=[f"/ip4/{net.addresses[server]}/udp/4001/webrtc-direct"]))
        node = stack.enter_context(
            Node(weft, home, relays=f"/ip4/{net.addresses[server]}/tcp/4001/p2p/{relay.peer}",
                 more=["/ip4/0.0.0.0/udp/4001/webrtc-direct"]))

        def add(name, count):
            content = os.urandom(count)
            file = os.path.join(node.place, name)
            with open(file, "wb") as output:
                output.write(content)
            cid = node.call("add", "-q", file).stdout.strip()
            return f"ipfs://{cid}", hashlib.sha256(content).hexdigest()

        (first, wanted), (second, other) = add("first", 3 << 20), add("second", 300_000)
        pages = {
            browser: stack.enter_context(Page(browser, cafe)) for browser in ("chromium", "firefox")}
        address = until(
            "address for pages",
            lambda: [x for x in node.addresses() if f"/p2p-circuit/webrtc/p2p/{node.peer}" in x])[0]
        assert "/udp/4001/webrtc-direct/certhash/" in address, address
        report("started", address=address)

        for browser, page in pages.items():
            answer = page(start=dict(peers=[address]), peers=2, url=first)
            assert answer.get("sha256") == wanted, answer
            peers = answer["state"]["peers"]
            assert {peer["peer"] for peer in peers} == {relay.peer, node.peer}, peers
            assert all(peer["kind"] == "node" for peer in peers), peers
            report(f"{browser} fetched from a node behind a router")
        relay.stop()
        for browser, page in pages.items():
            answer = page(url=second)
            assert answer.get("sha256") == other, answer
        report("and goes on without the relay")


alone()
main(*sys.argv[1:])
