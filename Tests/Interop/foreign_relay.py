"""Relays and hole punching between Weft and py-libp2p, behind routers. Usage: foreign_relay.py WEFT

Prints one JSON object for each thing that held.
"""

import contextlib
import hashlib
import json
import os
import queue
import subprocess
import sys
import threading

from network import Network, Node, alone, until

HERE = os.path.dirname(os.path.abspath(__file__))
SIZE = 3_000_000
# Where the foreign peer listens behind its router, which is the sixth network of the test.
HOME = "/ip4/192.168.6.2/tcp/4001"


def held(what, **more):
    print(json.dumps({"held": what, **more}), flush=True)


class Foreign:
    """A py-libp2p peer in a namespace."""

    def __init__(self, space, *words):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", space, sys.executable, "-W", "ignore",
             os.path.join(HERE, "libp2p_relay.py"), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def next(self, limit=240):
        """The next thing that it says."""
        said = self.lines.get(timeout=limit)
        if said is None:
            raise RuntimeError("the foreign peer ended")
        return said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def relayed(address):
    return "/p2p-circuit" in address


def place_at(node, relay):
    return until("place at the relay", lambda: [
        x for x in node.addresses() if relayed(x) and relay in x])[0]


def straight(node, peer):
    """By which direct ways a peer is connected."""
    return [way for way in node.ways(peer) if not relayed(way)]


def foreign_relay(weft, net, place):
    """Two Weft nodes that no hole can be punched between meet, and fetch, through py-libp2p."""
    with contextlib.ExitStack() as stack:
        there = f"/ip4/{net.addresses['pyrelay']}/tcp/4001"
        relay = stack.enter_context(Foreign("pyrelay", "relay", there)).next()["address"]
        a = stack.enter_context(Node(weft, "strict", relays=relay))
        b = stack.enter_context(Node(weft, "closed"))
        circuit = place_at(a, relay)
        held("a place at py-libp2p")
        b.call("connect", circuit)
        assert relayed(b.ways(a.peer)[0]), b.ways(a.peer)
        b.call("ping", "--count", "2", a.peer)
        held("met through py-libp2p")

        root = a.call("add", "-q", "--chunker", "size-65536", place).stdout.strip()
        target = os.path.join(b.place, "fetched")
        b.call("fetch", f"ipfs://{root}", "-o", target)
        with open(target, "rb") as file, open(place, "rb") as original:
            assert file.read() == original.read()
        assert not straight(b, a.peer), b.ways(a.peer)
        held("fetched through a relay without limits")

        dialer = stack.enter_context(
            Foreign("pyhome", "dial", HOME, circuit, root))
        assert dialer.next()["pinged"]
        said = dialer.next()
        with open(place, "rb") as file:
            assert said["sha256"] == hashlib.sha256(file.read()).hexdigest()
        held("py-libp2p fetched over bitswap through its relay", relayed=said["relayed"])


def own_relay(weft, net, place):
    """py-libp2p is reached, and reaches a Weft node, through a Weft node; then directly."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Node(weft, "relay", relay_service="on"))
        relay = f"/ip4/{net.addresses['relay']}/tcp/4001/p2p/{server.peer}"
        py = stack.enter_context(Foreign("pyhome", "target", HOME, relay, place))
        said = py.next()
        peer, root = said["peer"], said["root"]
        held("py-libp2p has a place at Weft")

        b = stack.enter_context(Node(weft, "home", relays=relay))
        others = [stack.enter_context(Node(weft, host)) for host in ("north", "south")]
        for other in [server, *others]:
            there = f"/ip4/{net.addresses[other.space]}/tcp/4001/p2p/{other.peer}"
            b.call("connect", there)
        circuit = f"{relay}/p2p-circuit/p2p/{peer}"
        b.call("connect", circuit)
        assert py.next()["met"] == b.peer
        held("reached py-libp2p through Weft")

        def punched():
            # Of two connections py-libp2p may end the one that is used. Then it is met anew.
            b.call("connect", circuit)
            return straight(b, peer)

        direct = until("direct connection", punched)
        b.call("ping", "--count", "2", peer)
        held("then directly", way=direct[0])
        target = os.path.join(b.place, "fetched")
        b.call("fetch", f"ipfs://{root}", "-o", target)
        with open(target, "rb") as file, open(place, "rb") as original:
            assert file.read() == original.read()
        held("fetched from it")

        # The other way round, so that the other side begins to punch.
        py.__exit__()
        caller = stack.enter_context(Foreign("pyhome", "dial", HOME, place_at(b, relay)))
        said = caller.next()
        assert said["pinged"], said
        held("py-libp2p reached Weft through Weft")
        direct = until("direct connection", lambda: straight(b, said["peer"]))
        assert "direct" in caller.next()
        held("and then directly", way=direct[0])


def main(weft):
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(Network())
        for name in ("pyrelay", "relay", "north", "south"):
            net.public(name)
        net.private("home", "port-restricted")
        net.private("pyhome", "port-restricted")
        net.private("strict", "symmetric")
        net.private("closed", "symmetric")
        place = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"foreign-relay-{os.getpid()}")
        stack.callback(os.unlink, place)
        with open(place, "wb") as file:
            file.write(hashlib.shake_256(b"relayed").digest(SIZE))
        foreign_relay(weft, net, place)
        own_relay(weft, net, place)


alone()
main(sys.argv[1])
