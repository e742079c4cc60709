"""Has routers forward ports to nodes behind them. Usage: portmap.py WEFT

miniupnpd is the router's part of PCP and UPnP; natpmp.py that of an old router. Prints one JSON
object for each thing that held.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile

from network import Network, Node, alone, run, until

TABLE = """table inet forward {
    chain mapped { }
    chain prerouting { type nat hook prerouting priority -100; jump pre; }
    chain postrouting { type nat hook postrouting priority 100; jump post; }
    chain pre { }
    chain post { }
}"""

SETTINGS = """ext_ifname=wan
listening_ip={lan}
port=0
enable_natpmp={natpmp}
enable_upnp={upnp}
ipv6_disable=yes
secure_mode=yes
min_lifetime=120
max_lifetime=86400
upnp_table_name=forward
upnp_nat_table_name=forward
upnp_forward_chain=mapped
upnp_nat_chain=pre
upnp_nat_postrouting_chain=post
uuid=00000000-0000-0000-0000-000000000001
allow 1024-65535 192.168.0.0/16 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


def held(what, **more):
    print(json.dumps({"held": what, **more}), flush=True)


@contextlib.contextmanager
def running(space, *words):
    process = subprocess.Popen(
        ["ip", "netns", "exec", space, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def device(router):
    """The router's device towards the home."""
    for entry in json.loads(run("ip", "-n", router, "-json", "addr")):
        if entry["ifname"] not in ("lo", "wan"):
            return entry["ifname"], entry["addr_info"][0]["local"]
    raise RuntimeError("the router has no home")


@contextlib.contextmanager
def daemon(net, host, natpmp="yes", upnp="yes"):
    """miniupnpd on the router of a host."""
    router = net.routers[host]
    net.rules(router, TABLE)
    lan, _ = device(router)
    with tempfile.TemporaryDirectory() as place:
        file = os.path.join(place, "miniupnpd.conf")
        with open(file, "w") as out:
            out.write(SETTINGS.format(lan=lan, natpmp=natpmp, upnp=upnp))
        with running(router, "miniupnpd", "-d", "-f", file, "-P", os.path.join(place, "pid")):
            yield router


def finding(node, subject, words=""):
    """What the doctor says of something, if these words are in it."""
    said = json.loads(node.call("doctor", "--json", check=False).stdout)["findings"]
    return next((x for x in said if x["subject"] == subject and words in x["summary"]), None)


def ports(node):
    return node.json("status")[0]["portMapping"]["ports"]


def forwarded(net, host, node, other, way):
    """Waits for a mapping and comes in through it."""
    port = until(f"port by {way}", lambda: ports(node))[0]
    assert port["port"] == 4001 and port["externalAddress"] == net.addresses[host], port
    said = finding(node, "port forwarding")
    assert said["verdict"] == "good" and way in said["details"][0], said
    enter(net, host, node, other, port)
    held(f"in by {way}", port=port["externalPort"])
    return port


def enter(net, host, node, other, port):
    address = f"/ip4/{net.addresses[host]}/tcp/{port['externalPort']}"
    other.call("connect", f"{address}/p2p/{node.peer}")
    assert other.ways(node.peer) == [address], other.ways(node.peer)
    other.call("disconnect", node.peer)


def closed(net, host, node, other, port):
    """The router lets nobody in any more, and forwards nothing."""
    address = f"/ip4/{net.addresses[host]}/tcp/{port['externalPort']}/p2p/{node.peer}"
    assert other.call("connect", address, check=False).returncode != 0
    rules = run("ip", "netns", "exec", net.routers[host], "nft", "list", "ruleset")
    assert "dnat to" not in rules and f"{port['externalPort']} :" not in rules, rules


def main(weft):
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(Network())
        world = [net.public(name) for name in ("east", "south", "west")]
        homes = {
            name: net.private(name, "port-restricted") for name in ("new", "plug", "old", "deaf")}
        stack.enter_context(daemon(net, homes["new"]))
        stack.enter_context(daemon(net, homes["plug"], natpmp="no"))
        router = net.routers[homes["old"]]
        server = os.path.join(os.path.dirname(os.path.abspath(__file__)), "natpmp.py")
        old = stack.enter_context(
            running(router, sys.executable, server, device(router)[1], net.addresses[router]))
        old.stdout.readline()
        others = [stack.enter_context(Node(weft, host)) for host in world]
        nodes = {
            name: stack.enter_context(Node(weft, host, port_mapping="auto"))
            for name, host in homes.items()}
        held("started")

        found = {}
        for name, way in (("new", "PCP"), ("old", "NAT-PMP"), ("plug", "UPnP")):
            found[name] = forwarded(net, homes[name], nodes[name], others[0], way)

        # Killed, the node cannot give the port back; started again, it gets the same one.
        nodes["new"].stop(signal.SIGKILL)
        nodes["new"].start()
        again = until("port after a restart", lambda: ports(nodes["new"]))[0]
        assert again == found["new"], again
        held("the same after kill -9")

        # What the router forwards is tried by others and then told to everybody.
        for other, host in zip(others, world):
            nodes["new"].call("connect", f"/ip4/{net.addresses[host]}/tcp/4001/p2p/{other.peer}")
        until("verdict", lambda: finding(nodes["new"], "reachable", "Everybody can connect"))
        address = f"/ip4/{net.addresses[homes['new']]}/tcp/{again['externalPort']}"
        assert f"{address}/p2p/{nodes['new'].peer}" in nodes["new"].addresses()
        held("confirmed and told")

        for name in ("new", "old", "plug"):
            nodes[name].stop()
            closed(net, homes[name], nodes[name], others[0], found[name])
        held("given back")

        # A router that forwards nothing says so by its silence, and the node what to do.
        said = until(
            "failure", lambda: finding(nodes["deaf"], "port forwarding", "does not let others in"))
        assert len(said["details"]) == 3 and "UPnP" in said["advice"], said
        held("a router that forwards nothing")

        # Switched on and off while the node runs.
        nodes["deaf"].call("config", "set", "mesh.port-mapping", "off")
        state = nodes["deaf"].json("status")[0]["portMapping"]
        assert "is not asked" in state["summary"], state
        held("switched off")


alone()
main(sys.argv[1])
