"""Asks nodes in different situations what is wrong with them. Usage: doctor.py WEFT

The situations are made with networks of their own; nat.py has those with relays. Prints one JSON
object for each that was explained as it should be.
"""

import contextlib
import json
import sys

from network import Network, Node, Report, alone, until


class Visit:
    """What the doctor says of a node."""

    def __init__(self, node):
        done = node.call("doctor", "--json", check=False)
        said = json.loads(done.stdout)
        self.status = done.returncode
        self.findings = {finding["subject"]: finding for finding in said["findings"]}
        assert self.status == (0 if said["well"] else 1), done.stdout
        # Nothing is a problem without a way out, in words.
        for finding in self.findings.values():
            assert finding["verdict"] != "problem" or finding["advice"], finding

    def says(self, subject, verdict, words):
        finding = self.findings.get(subject, {})
        return finding.get("verdict") == verdict and words in finding["summary"]


def settled(node, *findings):
    """A visit that says all of these, each a subject, a verdict and words, after the node has found
    out how it stands."""
    missing = []

    def look():
        visit = Visit(node)
        missing[:] = [finding for finding in findings if not visit.says(*finding)]
        return None if missing else visit

    try:
        return until("such findings", look)
    except RuntimeError as error:
        raise RuntimeError(f"{missing} of {Visit(node).findings}") from error


def lonely(weft, net, stack):
    """No cable: nobody to join by, no router, no neighbours."""
    host = net.space("lonely")
    far = "/ip4/5.99.0.2/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
    node = stack.enter_context(
        Node(weft, host, usual=True, bootstrap=far, mdns="on", port_mapping="auto"))
    visit = settled(
        node,
        ("port forwarding", "good", "no home router"),
        ("peers", "problem", "connected to nobody"),
        ("DHT", "problem", "No server of the DHT is known"),
        ("local network", "note", "cannot be looked for"),
        ("clock", "note", "nobody whose clock"))
    assert visit.status == 1
    node.stop()


def neighbourless(weft, net, stack):
    """A local network in which nobody else is, and no way out of it."""
    (host,) = net.local("alone")
    node = stack.enter_context(
        Node(weft, host, usual=True, mdns="on", port_mapping="auto"))
    visit = settled(
        node,
        ("local network", "good", "0 peers have been found in one network"),
        ("peers", "problem", "connected to nobody"),
        ("local DHT", "good", "No other node is on the local network"),
        ("DHT", "note", "joins by nobody"),
        ("port forwarding", "good", "no home router"))
    assert visit.status == 1
    node.stop()


def main(weft):
    report = Report()
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(Network())
        lonely(weft, net, stack)
        report("no network")
        neighbourless(weft, net, stack)
        report("no neighbours")

        hosts = [net.public(name) for name in ("one", "two", "three", "four")]
        first = stack.enter_context(Node(weft, hosts[0], usual=True, relay_service="off"))
        seed = f"/ip4/{net.addresses[hosts[0]]}/tcp/4001/p2p/{first.peer}"
        others = [
            stack.enter_context(
                Node(weft, host, usual=True, bootstrap=seed, relay_service="off"))
            for host in hosts[1:]]
        home = net.private("home", "port-restricted")
        inner = stack.enter_context(Node(weft, home, usual=True, bootstrap=seed))
        for node in (*others, inner):
            for host, other in zip(hosts, (first, *others)):
                if other is not node:
                    way = f"/ip4/{net.addresses[host]}/tcp/4001/p2p/{other.peer}"
                    node.call("connect", way)

        visit = settled(
            others[0],
            ("reachable", "good", "directly"),
            ("router", "good", "NAT type 1"),
            ("relays", "good", "No relay is needed"),
            ("DHT", "good", "answers others"),
            ("clock", "good", "not behind those of peers"),
            ("limits", "good", "No limit"))
        assert visit.status == 0, visit.findings
        works = visit.findings["reachable"]["details"]
        assert any("listens here; works, says" in line for line in works), works
        assert any("peers answered" in x for x in visit.findings["DHT"]["details"]), visit.findings
        shown = others[0].call("doctor").stdout
        assert "✓ reachable: Everybody can connect" in shown, shown
        report("an address of its own")

        visit = settled(
            inner,
            ("reachable", "problem", "lets nobody in, and no relay is known"),
            ("router", "good", "NAT type 2"))
        assert visit.status == 1
        assert "forward TCP port" in visit.findings["reachable"]["advice"], visit.findings
        lines = visit.findings["reachable"]["details"]
        assert any("does not work" in line for line in lines), lines
        report("a router that lets nobody in, and no relay")

        # What may be done besides is bounded, and said so.
        first.call("config", "set", "mesh.connections-in", "1")
        knocking = stack.enter_context(Node(weft, hosts[3], port=4009))
        knocking.call("connect", seed, check=False)
        visit = settled(first, ("limits", "note", "Limits were reached"))
        assert any("mesh.connections-in" in x for x in visit.findings["limits"]["details"])
        report("a limit that was reached")


alone()
main(sys.argv[1])
