"""Pages of different browsers that meet, each behind a router of its own. Usage: visitors.py WEFT

Prints one JSON object for each thing that held, with the seconds it took.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import subprocess
import sys

from network import Network, Node, Report, alone

BROWSERS = pathlib.Path(__file__).resolve().parent.parent / "Browsers"


class Page:
    """A browser on a host that shows visitors of a site (visitors.html)."""

    def __init__(self, browser, host):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", host, sys.executable, "-W", "ignore",
             BROWSERS / f"{browser}.py", "visitors.html", "", "hold"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline(), f"{browser} does not start"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=120)

    def __call__(self, **command):
        self.process.stdin.write(json.dumps({"visitor": 1, **command}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def main(weft):
    report = Report()
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(Network())
        south, north = net.public("south"), net.public("north")
        homes = [net.private(name, "port-restricted") for name in ("anna", "ben")]

        def node(host, way):
            made = stack.enter_context(Node(weft, host, more=[f"/ip4/{net.addresses[host]}/{way}"]))
            address = next(x for x in made.hello["listen"] if "/tcp/4001/p2p/" not in x)
            return made, address

        owner, socket = node(south, "tcp/4002/ws")
        host, webrtc = node(north, "udp/4001/webrtc-direct")
        content = os.urandom(3 << 20)
        file = os.path.join(owner.place, "file")
        with open(file, "wb") as output:
            output.write(content)
        url = "ipfs://" + owner.call("add", "-q", file).stdout.strip()
        wanted = hashlib.sha256(content).hexdigest()
        chromium, firefox = (
            stack.enter_context(Page(browser, home))
            for browser, home in zip(("chromium", "firefox"), homes))
        report("started")

        def fetch(page, *peers):
            answer = page(start=dict(serve=True, peers=peers), peers=len(peers), url=url)
            assert answer.get("sha256") == wanted, answer
            return [peer["kind"] for peer in answer["state"]["peers"]]

        assert fetch(firefox, socket, webrtc) == ["node", "node"]
        report("Firefox fetched from a node, over a WebSocket, and is connected over WebRTC")
        owner.stop()
        assert fetch(chromium, webrtc) == ["node", "page"]
        report("Chromium fetched from Firefox, and no node had it")
        # A third page, in Firefox, has both behind routers of their own, or beside it.
        answer = firefox(visitor=2, start=dict(serve=True, peers=[webrtc]), peers=1, url=url)
        assert answer.get("sha256") == wanted, answer
        report("and another page in Firefox from them")


if __name__ == "__main__":
    alone()
    main(*sys.argv[1:])
