"""The benchmarks of peers: each takes a `Bench`, measures and records rows of the table."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time

from harness import (GIB, MIB, ROUNDS, median, processor_seconds, random_file, resident_kib,
                     seconds, small_files, warm)

PYTHON = [".build/venv/bin/python", "-W", "ignore"]


def peer_rates(server, client, size):
    """Bytes per second sent to and received from a peer by two processes on this machine."""
    with subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as process:
        try:
            address = process.stdout.readline().strip()
            command = [address if part == "ADDRESS" else part for part in client]
            out = subprocess.run(command, check=True, timeout=300, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, text=True).stdout
        finally:
            process.stdin.close()
    times = [float(value) for value in re.findall(r"^(?:\w+load: )?([0-9.e-]+)", out, re.M)]
    return [size / value for value in times]


def raw_stream(bench):
    """A stream between two peers of our own against one of iroh's and one of py-libp2p's."""
    libp2p = PYTHON + ["bench/libp2p_perf.py"]
    iroh = PYTHON + ["bench/iroh_perf.py"]
    rates = {"tls": [], "noise": [], "iroh": [], "py-libp2p": []}
    for round in range(3):
        for security in ["tls", "noise"]:
            rates[security] += peer_rates(
                [bench.peer_bench, "serve"],
                [bench.peer_bench, "dial", "ADDRESS", security, str(GIB)], GIB)
        rates["iroh"] += peer_rates(
            iroh + ["serve"], iroh + ["dial", "ADDRESS", str(256 * MIB)], 256 * MIB)
        rates["py-libp2p"] += peer_rates(
            libp2p + ["serve"], libp2p + ["dial", "ADDRESS", str(64 * MIB)], 64 * MIB)
    figures = {name: median(values) / 1e6 for name, values in rates.items()}
    detail = ", ".join(f"{name} {value:.0f} MB/s" for name, value in figures.items())
    bench.row("raw stream between peers, throughput", "iroh, a stream over QUIC",
              figures["tls"] / figures["iroh"], 1.2, "high", detail)
    bench.row("raw stream between peers, throughput", "py-libp2p perf",
              figures["tls"] / figures["py-libp2p"], 5, "high", detail)


def from_peer(bench, source, cid, size):
    """Has an empty node pin what a connected node holds. Returns the seconds, and the processor
    seconds of both nodes."""
    repo = bench.repo("peer-target", routing__delegated="")
    listen = ["--listen", "/ip4/127.0.0.1/tcp/0"]
    with bench.peer(source) as (address, seeder), bench.peer(repo) as (_, leecher):
        bench.run(["--repo", repo, "connect", address])
        used = processor_seconds(seeder.pid) + processor_seconds(leecher.pid)
        time = seconds([bench.weft, "--repo", repo, "pin", "add", cid])
        used = processor_seconds(seeder.pid) + processor_seconds(leecher.pid) - used
        stored = sum(path.stat().st_size for path in repo.rglob("*.seg"))
    if stored < size:
        raise RuntimeError(f"only {stored} bytes were stored")
    shutil.rmtree(repo)
    return time, used


def torrent(bench, file, torrent):
    """Has an empty peer of libtorrent fetch what another one holds. Returns the same."""
    script = PYTHON + ["bench/torrent.py"]
    target = bench.scratch / "torrent"
    target.mkdir()
    with subprocess.Popen(script + ["seed", torrent, file.parent], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as seeder:
        port = seeder.stdout.readline().strip()
        out = subprocess.run(script + ["leech", torrent, target, port], check=True, timeout=300,
                             stdout=subprocess.PIPE, text=True).stdout
        seeder.stdin.close()
        others = float(seeder.stdout.read())
    shutil.rmtree(target)
    time, used = map(float, out.split())
    return time, used + others


def peer_large(bench):
    """1 GiB from a peer to an empty one, verified and stored: against libtorrent, and against
    what TLS and a hash take at least."""
    web = bench.scratch / "peer-web"
    web.mkdir()
    file = random_file(web / "1GiB", GIB, "peer-large")
    metainfo = bench.scratch / "1GiB.torrent"
    subprocess.run(PYTHON + ["bench/torrent.py", "make", file, metainfo], check=True)
    source = bench.repo("peer-source")
    cid = bench.run(["--repo", source, "add", "-q", file])
    warm(file)
    weft, theirs, limit = [], [], []
    with bench.nginx(web, tls=True) as url:
        for round in range(ROUNDS):
            weft.append(from_peer(bench, source, cid, GIB))
            theirs.append(torrent(bench, file, metainfo))
            limit.append(seconds(
                ["sh", "-c", f"curl -sSfk {url}/1GiB | openssl dgst -sha256"]))
    shutil.rmtree(web)
    shutil.rmtree(source)
    time, used = (median(values) for values in zip(*weft))
    their_time, their_used = (median(values) for values in zip(*theirs))
    limit = median(limit)
    detail = f"weft {time:.2f} s, {used:.2f} s of processor time; "
    bench.row("1 GiB from a peer, verified and stored, throughput", "libtorrent over TCP",
              their_time / time, 2, "high",
              detail + f"libtorrent {their_time:.2f} s, {their_used:.2f} s")
    bench.row("1 GiB from a peer, processor time of both ends", "libtorrent over TCP",
              used / their_used, 0.5, "low",
              detail + f"libtorrent {their_time:.2f} s, {their_used:.2f} s")
    bench.row("1 GiB from a peer, throughput", "nginx over TLS 1.3, curl, openssl dgst -sha256",
              limit / time, 0.6, "high", detail + f"the limit {limit:.2f} s")


def objects(bench):
    """10,000 objects of 1 KiB from a peer to an empty one, verified and stored, against as many
    files from nginx over one connection that is kept, which are thrown away: to write so many files
    takes longer than to fetch them."""
    count, size = 10_000, 1024
    web = small_files(bench.scratch / "peer-objects", count)
    source = bench.repo("objects-source")
    cid = bench.run(["--repo", source, "add", "-q", web])
    weft, theirs, overheads = [], [], []
    with bench.nginx(web) as url:
        requests = bench.scratch / "requests"
        requests.write_text("".join(
            f"url = {url}/{index // 1000:03}/{index:06}\n" for index in range(count)))
        for round in range(ROUNDS):
            theirs.append(seconds(["curl", "-sSf", "-K", requests]))
            time, moved = objects_from_peer(bench, source, cid)
            weft.append(time)
            overheads.append((moved - count * size) / count)
    shutil.rmtree(web)
    shutil.rmtree(source)
    theirs, weft, overhead = median(theirs), median(weft), median(overheads)
    bench.row("10,000 objects of 1 KiB from a peer, speed", "nginx, HTTP/1.1 kept alive, curl",
              theirs / weft, 5, "high", f"weft {weft:.3f} s, nginx {theirs:.3f} s")
    bench.row("10,000 objects of 1 KiB from a peer, overhead of each, bytes", "–", overhead, 40,
              "low", "all traffic both ways, without the objects and the folders that name them")


def objects_from_peer(bench, source, cid):
    """Has an empty node pin a folder of a connected node. Returns the seconds, and the bytes that
    went both ways without the blocks of folders."""
    repo = bench.repo("objects-target", routing__delegated="")
    with bench.peer(source) as (address, _), bench.peer(repo) as (_, leecher):
        bench.run(["--repo", repo, "connect", address])
        before = traffic(bench, repo)
        time = seconds([bench.weft, "--repo", repo, "pin", "add", cid])
        moved = traffic(bench, repo) - before
        folders = sum(
            json.loads(bench.run(["--repo", repo, "block", "stat", "--json", folder]))["size"]
            for folder in folders_of(bench, repo, cid))
    shutil.rmtree(repo)
    return time, moved - folders


def folders_of(bench, repo, cid):
    """The CIDs of a folder and of the folders in it."""
    listing = json.loads(bench.run(["--repo", repo, "dag", "get", cid]))
    return [cid] + [link["Hash"]["/"] for link in listing["Links"]]


def traffic(bench, repo):
    """The bytes that a running node has received and sent."""
    flows = json.loads(bench.run(["--repo", repo, "status", "--json"]))["bandwidth"]
    return flows["received"]["bytes"] + flows["sent"]["bytes"]


BITSWAP = PYTHON + ["Tests/Interop/libp2p_bitswap.py"]


@contextlib.contextmanager
def foreign_owner(file):
    """A peer of py-libp2p that has a file: yields its address and the file's CID."""
    with subprocess.Popen(BITSWAP + ["serve", file], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as peer:
        try:
            said = json.loads(peer.stdout.readline())
            yield said["address"], said["root"]
        finally:
            peer.stdin.close()


def foreign_fetch(bench, address, cid):
    """The seconds in which a peer of py-libp2p fetches a file over bitswap."""
    out = subprocess.run(BITSWAP + ["fetch", address, cid, bench.scratch / "bitswap-got"],
                         check=True, timeout=300, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True).stdout
    return json.loads(out)["seconds"]


def bitswap(bench):
    """64 MiB over bitswap to and from a peer of py-libp2p, against two of its kind."""
    file = random_file(bench.scratch / "64MiB", 64 * MIB, "bitswap")
    source = bench.repo("bitswap-source")
    cid = bench.run(["--repo", source, "add", "-q", "--chunker", "size-262144", file])
    theirs, sending, receiving = [], [], []
    for round in range(3):
        with foreign_owner(file) as (address, root):
            theirs.append(foreign_fetch(bench, address, root))
            repo = bench.repo("bitswap-target", routing__delegated="")
            with bench.peer(repo):
                bench.run(["--repo", repo, "connect", address])
                receiving.append(seconds([bench.weft, "--repo", repo, "pin", "add", root]))
            shutil.rmtree(repo)
        with bench.peer(source) as (address, _):
            sending.append(foreign_fetch(bench, address, cid))
    shutil.rmtree(source)
    theirs, sending, receiving = median(theirs), median(sending), median(receiving)
    detail = f"sending {sending:.2f} s, receiving {receiving:.2f} s, py-libp2p {theirs:.2f} s"
    bench.row("bitswap, 64 MiB to py-libp2p, speed", "py-libp2p to py-libp2p",
              theirs / sending, 1, "high", detail)
    bench.row("bitswap, 64 MiB from py-libp2p, speed", "py-libp2p to py-libp2p",
              theirs / receiving, 1, "high", detail)


def several(bench):
    """One file from four peers that send 10 MB a second each, against the sum."""
    size, cap = GIB, 10_000_000
    file = random_file(bench.scratch / "several", size, "several")
    repos = [bench.repo(f"seeder-{index}", **{"mesh.bandwidth-out": cap}) for index in range(4)]
    for repo in repos:
        cid = bench.run(["--repo", repo, "add", "-q", file])
    target = bench.repo("several-target", routing__delegated="")
    with contextlib.ExitStack() as nodes:
        addresses = [nodes.enter_context(bench.peer(repo))[0] for repo in repos]
        nodes.enter_context(bench.peer(target))
        for address in addresses:
            bench.run(["--repo", target, "connect", address])
        time = seconds([bench.weft, "--repo", target, "pin", "add", cid])
    for repo in [*repos, target]:
        shutil.rmtree(repo)
    bench.row("1 GiB from 4 peers capped at 10 MB/s each, throughput", "the sum of the caps",
              size / time / (4 * cap), 0.95, "high", f"{size / time / 1e6:.1f} MB/s")


DELAY = [sys.executable, "bench/delay.py"]


@contextlib.contextmanager
def running_line(command):
    """A program that prints one line and runs until its standard input ends: yields the line."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def delayed(bench):
    """A stream between two peers, and the dial before it, over a way of 60 ms there and back
    against plain TCP over the same."""
    size, round_trip = GIB, 0.06
    weft, plain, dials = [], [], []
    for round in range(3):
        with running_line(DELAY + ["serve"]) as port, \
                running_line(DELAY + ["proxy", port, "60"]) as way:
            out = subprocess.run(DELAY + ["send", way, str(size)], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout
            plain.append(size / (float(out) - 2 * round_trip))
        with running_line([bench.peer_bench, "serve"]) as address:
            port = address.split("/")[4]
            with running_line(DELAY + ["proxy", port, "60"]) as way:
                address = address.replace(f"/tcp/{port}/", f"/tcp/{way}/")
                out = subprocess.run([bench.peer_bench, "dial", address, "tls", str(size)],
                                     check=True, text=True, stdout=subprocess.PIPE).stdout
                times = dict(re.findall(r"^([a-z ]+): ([0-9.e-]+) s", out, re.M))
                weft.append(size / (float(times["upload"]) - 2 * round_trip))
                dials.append(float(times["first byte"]) / round_trip)
    weft, plain, dial = median(weft), median(plain), median(dials)
    bench.row("a stream over a way of 60 ms, throughput", "plain TCP with tuned windows",
              weft / plain, 0.8, "high", f"weft {weft / 1e6:.0f} MB/s, TCP {plain / 1e6:.0f} MB/s")
    bench.row("dial to first byte over a way of 60 ms, round trips", "–", dial, 3.2, "low",
              f"{dial * round_trip * 1000:.0f} ms")


def idle(bench):
    """Memory, processor time and traffic of a node with 96 connections on which nothing happens."""
    repo = bench.repo("idle", routing__delegated="")
    with bench.peer(repo) as (address, process):
        command = [bench.peer_bench, "hold", address, "96"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as peers:
            try:
                said = peers.stdout.readline().strip()
                assert said == "holding 96", said
                # The introductions are over by then.
                time.sleep(20)
                before, start = idle_figures(bench, repo, process.pid), time.monotonic()
                time.sleep(120)
                after, passed = idle_figures(bench, repo, process.pid), time.monotonic() - start
            finally:
                peers.stdin.close()
    shutil.rmtree(repo)
    count = after["peers"]
    assert count == 96, f"{count} peers are connected"
    bench.row("96 idle connections, memory, MiB", "–", after["kib"] / 1024, 48, "low",
              f"{after['kib']} KiB resident")
    used, moved = (after[name] - before[name] for name in ("seconds", "bytes"))
    bench.row("96 idle connections, % of a core", "–", used / passed * 100, 1, "low",
              f"{used:.2f} s in {passed:.0f} s")
    bench.row("96 idle connections, KB/s both ways", "–", moved / passed / 1000, 2, "low",
              f"{moved} bytes in {passed:.0f} s")


def idle_figures(bench, repo, pid):
    """What a running node has used so far."""
    status = json.loads(bench.run(["--repo", repo, "status", "--json"]))
    flows = status["bandwidth"]
    return dict(kib=resident_kib(pid), seconds=processor_seconds(pid), peers=status["peers"],
                bytes=flows["received"]["bytes"] + flows["sent"]["bytes"])


ALL = {
    "raw-stream": raw_stream,
    "peer-large": peer_large,
    "peer-objects": objects,
    "bitswap": bitswap,
    "several-peers": several,
    "delay": delayed,
    "peers-idle": idle,
}
