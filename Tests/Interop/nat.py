"""Reaches nodes behind routers that translate addresses. Usage: nat.py WEFT

Prints one JSON object for each thing that held, with the seconds it took.
"""

import contextlib
import json
import sys

from network import Network, Node, Report, alone, until


def relayed(address):
    return "/p2p-circuit" in address


def main(weft):
    report = Report()
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(Network())
        server = net.public("relay")
        alice, bob = net.private("alice", "port-restricted"), net.private("bob", "port-restricted")
        carol = net.private("carol", "symmetric")

        others = [net.public("south"), net.public("north")]

        relay = stack.enter_context(Node(weft, server, relay_service="on"))
        way = f"/ip4/{net.addresses[server]}/tcp/4001/p2p/{relay.peer}"
        nodes = [stack.enter_context(Node(weft, host, relays=way)) for host in (alice, bob, carol)]
        a, b, c = nodes
        for other in others:
            public = stack.enter_context(Node(weft, other, relay_service="off"))
            for node in (relay, *nodes):
                node.call("connect", f"/ip4/{net.addresses[other]}/tcp/4001/p2p/{public.peer}")
        report("started")

        def circuit(node):
            return until(
                "address through the relay",
                lambda: [x for x in node.addresses() if relayed(x)])[0]

        to_a, to_c = circuit(a), circuit(c)
        assert to_a == f"{way}/p2p-circuit/p2p/{a.peer}", to_a
        report("reserved", address=to_a)

        first = b.json("connect", to_a)[0]["address"]
        assert relayed(first), first
        report("reached through the relay")
        direct = f"/ip4/{net.addresses[alice]}/tcp/4001"
        until(
            "direct connection", lambda: b.ways(a.peer) and not any(map(relayed, b.ways(a.peer))))
        assert any(net.addresses[alice] in x for x in b.ways(a.peer)), b.ways(a.peer)
        b.call("ping", "--count", "1", a.peer)
        report("then directly", address=direct)

        b.call("connect", to_c)
        b.call("ping", "--count", "1", c.peer)
        assert all(map(relayed, b.ways(c.peer))), b.ways(c.peer)
        report("a symmetric router: through the relay alone")

        with net.partition(alice, bob):
            until("broken connection", lambda: not b.ways(a.peer))
            b.call("connect", to_a)
            assert all(map(relayed, b.ways(a.peer))), b.ways(a.peer)
            b.call("ping", "--count", "1", a.peer)
            report("a partition: through the relay")
        b.call("disconnect", a.peer)
        b.call("connect", to_a)
        until(
            "direct connection", lambda: b.ways(a.peer) and not any(map(relayed, b.ways(a.peer))))
        report("the partition healed: directly again")

        def found(node, subject, words):
            for finding in json.loads(node.call("doctor", "--json", check=False).stdout)["findings"]:
                if finding["subject"] == subject and words in finding["summary"]:
                    return finding
            return None

        until("verdict", lambda: found(a, "reachable", "others come through a relay"))
        works = until("verdict", lambda: found(relay, "reachable", "directly"))
        assert any("works, says" in line for line in works["details"]), works
        easy = found(a, "router", "easy NAT; NAT type 2")
        assert easy, a.call("doctor", check=False).stdout
        outer = f"{net.addresses[alice]}/tcp/4001"
        assert any("networks see this node" in x and outer in x for x in easy["details"]), easy
        assert any("became direct" in x for x in easy["details"]), easy
        strict = found(c, "router", "NAT type 3, strict")
        assert strict and strict["advice"], c.call("doctor", check=False).stdout
        # Each of them sees another port.
        ports = [x for x in strict["details"] if "one network sees this node" in x]
        assert len(ports) >= 2, strict
        assert found(a, "relays", "can be reached through 1"), a.call("doctor", check=False).stdout
        report("the doctor explains it")


alone()
main(sys.argv[1])
