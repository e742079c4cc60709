"""Joins networks of its own, made for it. Usage: join.py WEFT neighbours|public

Prints one JSON object for each thing that held, with the seconds it took.
"""

import contextlib
import json
import os
import subprocess
import sys

from network import Network, Node, Report, alone, run, until

def connected(node, *others):
    known = {entry["peer"] for entry in node.json("peers")}
    return all(other.peer in known for other in others)


def neighbours(weft, report):
    """Three nodes in one local network, which were told nothing of each other."""
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(Network())
        *hosts, last = net.local("anna", "ben", "carl", "dave")
        a, b, c = nodes = [stack.enter_context(Node(weft, host, mdns="on")) for host in hosts]
        for node in nodes:
            until("neighbours", lambda: connected(node, *(x for x in nodes if x is not node)))
        report("three nodes found each other")

        # A folder on the first is fetched by the second, then by the third from both.
        folder = os.path.join(a.place, "folder")
        os.makedirs(os.path.join(folder, "inner"))
        for name in [*(f"{number}.bin" for number in range(6)), "inner/small", "inner/empty"]:
            with open(os.path.join(folder, name), "wb") as file:
                file.write(os.urandom({"inner/small": 9, "inner/empty": 0}.get(name, 4 << 20)))
        root = a.call("add", "-q", folder).stdout.strip()
        b.call("get", root, "-o", os.path.join(b.place, "got"))
        same(folder, os.path.join(b.place, "got"))
        report("the second fetched a folder from the first")
        # Their lines are slow, or one alone would be done before the other is asked, or goes on.
        for owner in (a, b):
            owner.call("config", "set", "mesh.bandwidth-out", "4MiB")
        c.call("get", root, "-o", os.path.join(c.place, "got"))
        same(folder, os.path.join(c.place, "got"))
        received = {entry["peer"]: entry["receivedBytes"] for entry in c.json("peers")}
        assert min(received[a.peer], received[b.peer]) > 4 << 20, received
        for owner in (a, b):
            owner.call("config", "set", "mesh.bandwidth-out", "none")
        report("the third from both at once")

        a.process.kill()
        a.process.wait()
        dave = stack.enter_context(Node(weft, last, mdns="on"))
        until("neighbours", lambda: connected(dave, b, c))
        c.call("disconnect", dave.peer)
        dave.call("get", root, "-o", os.path.join(dave.place, "got"))
        same(folder, os.path.join(dave.place, "got"))
        report("without the first, the content is there")

        # Another implementation gets the whole folder from the third.
        way = [x for x in c.addresses() if net.addresses[hosts[2]] in x][0]
        foreign = os.path.join(dave.place, "foreign")
        python = [
            "ip", "netns", "exec", last, sys.executable, "-W", "ignore",
            os.path.join(os.path.dirname(__file__), "libp2p_bitswap.py"), "folder", way, root,
            foreign]
        subprocess.run(python, check=True, stdout=subprocess.DEVNULL, timeout=480)
        assert sorted(os.listdir(foreign)) == sorted(os.listdir(folder)), os.listdir(foreign)
        same(folder, foreign)
        report("py-libp2p fetches the folder, too")

        # Without a node, a command looks for neighbours itself; told not to, it asks nobody.
        (lone,) = net.local("eve")
        eve = stack.enter_context(Node(weft, lone, mdns="on"))
        eve.stop()
        eve.call("get", root, "-o", os.path.join(eve.place, "got"))
        same(folder, os.path.join(eve.place, "got"))
        eve.call("config", "set", "mesh.mdns", "off")
        with open(os.path.join(b.place, "other"), "wb") as file:
            file.write(os.urandom(1000))
        # One of them has it, whoever is met first.
        other = b.call("add", "-q", file.name).stdout.strip()
        assert eve.call("cat", other, check=False).returncode == 1
        eve.call("config", "set", "mesh.mdns", "on")
        eve.call("config", "set", "mesh.reach", "off")
        assert eve.call("cat", other, check=False).returncode == 1
        eve.call("config", "set", "mesh.reach", "everywhere")
        eve.call("config", "set", "network.mode", "offline")
        assert eve.call("cat", other, check=False).returncode == 1
        eve.call("config", "set", "network.mode", "online")
        eve.call("get", other, "-o", os.path.join(eve.place, "other"))
        report("without a node, a command finds neighbours")

        same_host = stack.enter_context(Node(weft, last, usual=True, mdns="on"))
        until("neighbour", lambda: connected(same_host, dave, b, c))
        report("two nodes on one machine found each other")

        said = json.loads(b.call("doctor", "--json", check=False).stdout)["findings"]
        found = [x for x in said if x["subject"] == "local network"]
        assert found and found[0]["verdict"] == "good", said
        assert [x for x in said if x["subject"] == "local DHT" and "servers are known" in x["summary"]]
        report("the doctor explains it")


def six(weft, report):
    """Two nodes in a local network without IPv4, and what they say there."""
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(Network())
        hosts = net.local("anna", "ben", "carl")
        net.only_six(*hosts)
        ear = stack.enter_context(Talking(
            ["ip", "netns", "exec", hosts[2], sys.executable,
             os.path.join(os.path.dirname(__file__), "mdns_listener.py"), "lan"]))
        anna, ben = [
            stack.enter_context(Node(weft, host, host="/ip6/::", mdns="on"))
            for host in hosts[:2]
        ]
        until("neighbours", lambda: connected(anna, ben) and connected(ben, anna))
        report("two nodes found each other over IPv6")
        anna.stop()
        said = ear.next()
        while not said["goodbye"]:
            assert said["version"] == 6, said
            said = ear.next()
        report("the one that stopped said goodbye")
        ear.process.terminate()


def same(left, right):
    for name in os.listdir(left):
        one, two = os.path.join(left, name), os.path.join(right, name)
        if os.path.isdir(one):
            same(one, two)
            continue
        with open(one, "rb") as here, open(two, "rb") as there:
            assert here.read() == there.read(), name


def public(weft, report):
    """Nodes of an internet that join by one that they are told of, and find each other."""
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(Network())
        hosts = [net.public(name) for name in ("first", "second", "third", "fourth")]
        first = stack.enter_context(Node(weft, hosts[0], usual=True))
        seed = f"/ip4/{net.addresses[hosts[0]]}/tcp/4001/p2p/{first.peer}"
        records = os.path.join(first.place, "records")
        with open(records, "w") as file:
            file.write(f"_dnsaddr.seeds.example dnsaddr=/dnsaddr/one.example/p2p/{first.peer}\n")
            file.write(f"_dnsaddr.one.example dnsaddr={seed}\n")
        named = f"/dnsaddr/seeds.example/p2p/{first.peer}"
        others = [
            stack.enter_context(Node(
                weft, host, usual=True, bootstrap=named, **{"dns.static": records}))
            for host in hosts[1:]
        ]
        nodes = [first, *others]

        def servers(node):
            said = json.loads(node.call("doctor", "--json", check=False).stdout)["findings"]
            found = [x for x in said if x["subject"] == "DHT"]
            return "servers are known" in found[0]["summary"] and "answers others" in found[0]["summary"]

        for node in nodes:
            until("part in the DHT", lambda: servers(node))
        report("four nodes joined by a name, were reached, and serve the DHT")

        two, three, four = others
        two.call("disconnect", four.peer, check=False)
        places = four.json("find", two.peer)[0]["addresses"]
        assert f"/ip4/{net.addresses[hosts[1]]}/tcp/4001" in places, places
        report("one found where another is")

        # A name leads to it as well.
        four.call("disconnect", first.peer, check=False)
        four.call("connect", named)
        assert connected(four, first)
        nowhere = four.call("connect", f"/dnsaddr/nowhere.example/p2p/{first.peer}", check=False)
        assert nowhere.returncode == 1 and "nowhere.example" in nowhere.stderr, nowhere
        near = routing(four, f"dht/closest/peers/{two.peer}")
        assert near[0]["ID"] == two.peer and len(near) >= 2, near
        assert f"/ip4/{net.addresses[hosts[1]]}/tcp/4001" in near[0]["Addrs"], near
        report("a name was connected to, and the gateway says who is nearest to a key")

        with open(os.path.join(two.place, "file"), "wb") as file:
            file.write(os.urandom(1 << 20))
        cid = two.call("add", "-q", file.name).stdout.strip()
        assert two.json("provide", cid)[0]["servers"] >= 2
        assert [x["peer"] for x in four.json("providers", cid)] == [two.peer]
        four.call("disconnect", two.peer, check=False)
        trace = four.call("fetch", "--trace", f"ipfs://{cid}", "-o", os.path.join(four.place, "got"))
        with open(file.name, "rb") as one, open(os.path.join(four.place, "got"), "rb") as other:
            assert one.read() == other.read()
        assert two.peer in trace.stderr, trace.stderr
        report("what one announced, another found and fetched")

        # What is added is announced without an order, and names are published to the DHT.
        with open(os.path.join(two.place, "later"), "wb") as file:
            file.write(os.urandom(1 << 10))
        later = two.call("add", "-q", file.name).stdout.strip()
        until("announcement", lambda: [
            x for x in four.json("providers", later) if x["peer"] == two.peer])
        name = two.json("name", "publish", f"/ipfs/{later}")[0]["name"]
        assert four.call("name", "resolve", name).stdout.strip() == f"/ipfs/{later}"
        report("what was added was announced, and a name published")

        # A command without a node joins by the same peers, for as long as it takes.
        visitor = stack.enter_context(
            Node(weft, net.public("visitor"), bootstrap=named, **{"dns.static": records}))
        visitor.stop()
        trace = visitor.call(
            "fetch", "--trace", f"ipfs://{cid}", "-o", os.path.join(visitor.place, "got"))
        with open(os.path.join(two.place, "file"), "rb") as one:
            with open(os.path.join(visitor.place, "got"), "rb") as got:
                assert one.read() == got.read()
        assert two.peer in trace.stderr or four.peer in trace.stderr, trace.stderr
        assert visitor.call("name", "resolve", name).stdout.strip() == f"/ipfs/{later}"
        assert [x["peer"] for x in visitor.json("providers", later)] == [two.peer]
        visitor.call("config", "set", "mesh.bootstrap", "")
        os.unlink(os.path.join(visitor.home, "servers"))
        assert visitor.call("cat", later, check=False).returncode == 1
        report("without a node, a command joins and fetches")

        foreign(net, stack.enter_context, seed, three, four, cid, name)
        report("py-libp2p finds, provides, gets and puts, and is found")

        # The first is gone; whoever starts again knows the others.
        first.stop()
        three.stop()
        assert seed in open(os.path.join(three.home, "servers")).read()
        three.start()
        until("part in the DHT", lambda: connected(three, two) and connected(three, four))
        report("without the one that it joined by, a node finds the network again")

        other = stack.enter_context(Node(weft, hosts[1], usual=True))
        ports = {tuple(x.split("/")[3:5]) for x in other.addresses()}
        assert {kind for kind, _ in ports} == {"tcp", "udp"}, ports
        assert "4001" not in {port for _, port in ports}, ports
        assert "port 4001 is taken" in open(other.log.name).read()
        report("a second node on a machine chose another port")


def routing(node, path):
    """What a node's gateway answers to a question about routing."""
    gateway = node.hello["gateway"]
    words = ["curl", "-sS", "--fail", "--max-time", "120", f"{gateway}/routing/v1/{path}"]
    return json.loads(run("ip", "netns", "exec", node.space, *words))["Peers"]


def foreign(net, enter, seed, server, client, cid, name):
    """A peer of py-libp2p in the same DHT."""
    host = net.public("python")
    ip = net.addresses[host]
    python = enter(Talking(
        ["ip", "netns", "exec", host, sys.executable, "-W", "ignore",
         os.path.join(os.path.dirname(__file__), "libp2p_kad.py"), ip, seed]))
    # It asks, and we answer.
    assert python.ask("providers", cid), "no provider"
    places = python.ask("find", server.peer)
    assert f"/ip4/{net.addresses[server.space]}/tcp/4001" in "".join(places), places
    # It provides, and we find it.
    with open(os.path.join(client.place, "own"), "wb") as file:
        file.write(b"from python")
    own = client.call("add", "-q", "--only-hash", file.name).stdout.strip()
    assert python.ask("provide", own)
    found = until("provider", lambda: [
        x for x in client.json("providers", own) if x["peer"] == python.hello["peer"]])
    assert f"/ip4/{ip}/tcp/4001" in found[0]["addresses"], found
    assert f"/ip4/{ip}/tcp/4001" in client.json("find", python.hello["peer"])[0]["addresses"]
    # It gets the record of a name that we put, and we get one that it put.
    assert python.ask("get", key(name)) == record(client, name)
    closet = ("--repo", os.path.join(client.place, "closet"))
    client.call(*closet, "config", "set", "routing.delegated", "")
    other = client.json(*closet, "name", "publish", f"/ipfs/{cid}")[0]["name"]
    assert python.ask("put", key(other), record(client, other, *closet)) >= 1
    assert client.call("name", "resolve", other).stdout.strip() == f"/ipfs/{cid}"


def key(name):
    """The key of a name's record, in hexadecimal digits. The name is a CID in base 36."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    number = 0
    for digit in name[1:]:
        number = number * 36 + digits.index(digit)
    cid = number.to_bytes(40, "big")
    return (b"/ipns/" + cid[2:]).hex()


def record(node, name, *options):
    path = os.path.join(node.place, "record")
    node.call(*options, "fetch", f"ipns://{name}?format=ipns-record", "-o", path)
    with open(path, "rb") as file:
        return file.read().hex()


class Talking:
    """A program that answers each line with a line of JSON."""

    def __init__(self, words):
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.hello = json.loads(self.process.stdout.readline())

    def ask(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return self.next()

    def next(self):
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=120)


alone()
{"neighbours": neighbours, "public": public, "six": six}[sys.argv[2]](sys.argv[1], Report())
