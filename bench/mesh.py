"""The benchmarks of peers: each takes a `Bench`, measures and records rows of the table."""

import json
import re
import shutil
import subprocess
import time

from harness import (GIB, MIB, ROUNDS, median, processor_seconds, random_file, resident_kib,
                     seconds, warm)

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
    "peers-idle": idle,
}
