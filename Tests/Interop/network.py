"""Networks in a box for the tests: hosts and routers as network namespaces of Linux.

    alone()                                      # once, at the start of the program
    net = Network()
    relay = net.public("relay")                  # a host on the "internet"
    home = net.private("home", "port-restricted")  # a host behind a router that translates
    node = Node(weft, net, relay, config)          # a Weft node on it

The internet is one namespace that forwards between everybody's link. All of it lies within
namespaces of this program alone, so that runs do not meet, and is gone when the program is.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

NAT = {
    # The outer port is the inner one where it is free; in comes what was sent to.
    "port-restricted": "masquerade",
    # Each peer sees another outer port.
    "symmetric": "masquerade fully-random",
}


def run(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


def alone():
    """Starts this program anew in namespaces of its own, in which it may do what root may."""
    # Threads of a test hold signals back, and so would everything that is started here.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if os.environ.get("WEFT_ALONE") is None:
        user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
        os.environ["WEFT_ALONE"] = "1"
        words = ["unshare", "--net", "--mount", *user, sys.executable, *sys.argv]
        os.execvp(words[0], words)
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    run("mount", "-t", "tmpfs", "tmpfs", "/run")


class Network:
    def __init__(self):
        self.spaces = []
        self.count = 0
        self.addresses = {}
        self.routers = {}
        self.core = self.space("core")
        run("ip", "netns", "exec", self.core, "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for space in reversed(self.spaces):
            run("ip", "netns", "del", space, check=False)

    def space(self, name):
        run("ip", "netns", "add", name)
        self.spaces.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def link(self, inner, outer, prefix, device):
        """Joins two namespaces: the inner one has .2 and its way out, the outer one .1."""
        far = f"to{self.count}{device[0]}"
        run("ip", "-n", inner, "link", "add", device, "type", "veth", "peer", far, "netns", outer)
        run("ip", "-n", inner, "addr", "add", f"{prefix}.2/24", "dev", device)
        run("ip", "-n", outer, "addr", "add", f"{prefix}.1/24", "dev", far)
        run("ip", "-n", inner, "link", "set", device, "up")
        run("ip", "-n", outer, "link", "set", far, "up")
        run("ip", "-n", inner, "route", "add", "default", "via", f"{prefix}.1")

    def public(self, name):
        """A host that everybody reaches. Each has a network of its own."""
        self.count += 1
        space = self.space(name)
        self.link(space, self.core, f"5.{self.count}.0", "wan")
        self.addresses[space] = f"5.{self.count}.0.2"
        return space

    def local(self, *names):
        """Hosts of one local network without a way out."""
        if "switch" not in self.spaces:
            self.space("switch")
            run("ip", "-n", "switch", "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0")
            run("ip", "-n", "switch", "link", "set", "bridge", "up")
        for name in names:
            self.count += 1
            host, device = self.space(name), f"port{self.count}"
            run("ip", "-n", host, "link", "add", "lan", "type", "veth", "peer", device, "netns", "switch")
            run("ip", "-n", host, "addr", "add", f"192.168.77.{self.count}/24", "dev", "lan")
            run("ip", "-n", host, "link", "set", "lan", "up")
            run("ip", "-n", "switch", "link", "set", device, "master", "bridge", "up")
            self.addresses[host] = f"192.168.77.{self.count}"
        return names

    def only_six(self, *names):
        """Takes the IPv4 addresses of hosts of the local network and gives them IPv6 ones."""
        for number, host in enumerate(names, 1):
            run("ip", "-n", host, "-4", "addr", "flush", "dev", "lan")
            run("ip", "-n", host, "addr", "add", f"fd77::{number}/64", "dev", "lan", "nodad")
            self.addresses[host] = f"fd77::{number}"

    def private(self, name, kind):
        """A host behind a router of its own, and the router."""
        router = self.public(f"{name}-router")
        run("ip", "netns", "exec", router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        host = self.space(name)
        self.link(host, router, f"192.168.{self.count}", "lan")
        self.rules(
            router,
            f"""table ip nat {{
                chain out {{
                    type nat hook postrouting priority 100;
                    oifname "wan" {NAT[kind]}
                }}
                chain in {{
                    type filter hook input priority 0; policy drop;
                    ct state established,related accept
                    iifname != "wan" accept
                    ip protocol icmp accept
                }}
                chain through {{
                    type filter hook forward priority 0; policy drop;
                    ct state established,related accept
                    ct status dnat accept
                    iifname != "wan" accept
                }}
            }}""",
        )
        self.addresses[host] = self.addresses[router]
        self.routers[host] = router
        return host

    @staticmethod
    def rules(space, text):
        subprocess.run(
            ["ip", "netns", "exec", space, "nft", "-f", "-"], input=text, text=True, check=True)

    @contextlib.contextmanager
    def partition(self, one, other):
        """Nothing passes between two hosts; what is open breaks at once."""
        a, b = self.addresses[one], self.addresses[other]
        self.rules(
            self.core,
            f"""table ip cut {{
                chain through {{
                    type filter hook forward priority 0;
                    ip saddr {a} ip daddr {b} meta l4proto tcp reject with tcp reset
                    ip saddr {b} ip daddr {a} meta l4proto tcp reject with tcp reset
                }}
            }}""",
        )
        try:
            yield
        finally:
            run("ip", "netns", "exec", self.core, "nft", "delete", "table", "ip", "cut")


    @contextlib.contextmanager
    def cut(self, host):
        """Nothing reaches a host or leaves it, and nobody is told."""
        address = self.addresses[host]
        self.rules(
            self.core,
            f"""table ip cable {{
                chain through {{
                    type filter hook forward priority 0;
                    ip saddr {address} drop
                    ip daddr {address} drop
                }}
            }}""",
        )
        try:
            yield
        finally:
            run("ip", "netns", "exec", self.core, "nft", "delete", "table", "ip", "cable")


class Node:
    """A running Weft node in a namespace."""

    def __init__(self, weft, space, port=4001, usual=False, host="/ip4/0.0.0.0", more=(),
                 **settings):
        """Settings are configuration keys or, without a dot, keys of the section `mesh`, with _ for
        -. Without `bootstrap` and `mdns` the node joins by nobody and looks for nobody. A usual node
        listens where nodes do that are told nothing; `more` are further addresses to listen at."""
        self.weft, self.space = weft, space
        self.place = tempfile.mkdtemp(prefix="weft-net-")
        self.home = os.path.join(self.place, "repository")
        self.call("config", "set", "routing.delegated", "")
        self.call("config", "set", "gateway.address", "127.0.0.1:0")
        for key, value in {"bootstrap": "", "mdns": "off", "port_mapping": "off", **settings}.items():
            name = key if "." in key else f"mesh.{key.replace('_', '-')}"
            self.call("config", "set", name, value)
        self.options = [] if usual else ["--listen", f"{host}/tcp/{port}"]
        for address in more:
            self.options += ["--listen", address]
        self.log = open(os.path.join(self.place, "log"), "w")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.words("up", "--json", *self.options),
            stdout=subprocess.PIPE, stderr=self.log, env=self.environment(), text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the node did not start: " + open(self.log.name).read())
        self.hello = json.loads(line)
        self.peer = self.hello["peer"]

    def __enter__(self):
        return self

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __exit__(self, *_):
        self.stop()
        self.log.close()
        shutil.rmtree(self.place, ignore_errors=True)

    def environment(self):
        return dict(os.environ, WEFT_HOME=self.home)

    def words(self, *arguments):
        return ["ip", "netns", "exec", self.space, self.weft, *arguments]

    def call(self, *arguments, check=True):
        done = subprocess.run(
            self.words(*arguments), capture_output=True, text=True, timeout=240,
            env=self.environment())
        if check and done.returncode != 0:
            raise RuntimeError(f"weft {' '.join(arguments)}: {done.stderr}")
        return done

    def json(self, *arguments):
        return [json.loads(line) for line in self.call(*arguments, "--json").stdout.splitlines()]

    def addresses(self):
        return self.json("id")[0]["addresses"]

    def ways(self, peer):
        """By which addresses a peer is connected."""
        for entry in self.json("peers"):
            if entry["peer"] == peer:
                return [connection["address"] for connection in entry["connections"]]
        return []


class Report:
    """Says what held, and how long it took since the last thing."""

    def __init__(self):
        self.start = time.monotonic()

    def __call__(self, what, **more):
        passed = round(time.monotonic() - self.start, 1)
        print(json.dumps({"held": what, "seconds": passed, **more}), flush=True)
        self.start = time.monotonic()


def until(what, condition, limit=240):
    """Waits for a condition and returns what it gave."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        # Each look runs the program, which is pause enough.
    raise RuntimeError(f"in {limit} s there was no {what}")
