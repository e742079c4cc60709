"""The benchmarks: each takes a `Bench`, measures and records rows of the table."""

import hashlib
import re
import shutil
import struct
import subprocess
import time

import browser
import calls
import contracts
import mesh
import page
import visitors
from harness import (GIB, MIB, ROUNDS, median, random_bytes, random_file, resident_kib,
                     seconds, small_files, warm)



def add_large(bench):
    """`weft add` of 1 GiB against hashing it once and against copying it durably."""
    file = random_file(bench.scratch / "1GiB", GIB, "add-large")
    warm(file)
    times = {"weft": [], "openssl": [], "dd": []}
    for round in range(ROUNDS):
        repo = bench.repo("add-large")
        times["weft"].append(seconds([bench.weft, "--repo", repo, "add", "-q", file]))
        shutil.rmtree(repo)
        times["openssl"].append(seconds(["openssl", "dgst", "-sha256", file]))
        copy = bench.scratch / "copy"
        times["dd"].append(seconds(["dd", f"if={file}", f"of={copy}", "bs=1M", "conv=fsync"]))
        copy.unlink()
    file.unlink()
    figures = {name: median(values) for name, values in times.items()}
    slower = max(figures["openssl"], figures["dd"])
    bench.row("add 1 GiB, time", "slower of openssl dgst -sha256 and dd conv=fsync",
              figures["weft"] / slower, 1.3, "low",
              ", ".join(f"{name} {value:.2f} s" for name, value in figures.items()))


def add_small(bench):
    """`weft add` of 100,000 files of 1 KiB against `git add` of the same."""
    folder = small_files(bench.scratch / "small", 100_000)
    weft, git = [], []
    for round in range(3):
        repo = bench.repo("add-small")
        weft.append(seconds([bench.weft, "--repo", repo, "add", "-q", folder]))
        shutil.rmtree(repo)
        subprocess.run(["git", "init", "-q", folder], check=True)
        git.append(seconds(["git", "add", "."], cwd=folder))
        shutil.rmtree(folder / ".git")
    shutil.rmtree(folder)
    bench.row("add 100,000 files of 1 KiB, speed", "git add", median(git) / median(weft), 5,
              "high", f"weft {median(weft):.2f} s, git {median(git):.2f} s")


def curl_speed(url):
    """Bytes a second of one download that is thrown away."""
    out = subprocess.run(["curl", "-sSf", "-o", "/dev/null", "-w", "%{speed_download}", url],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(out)


def gateway_large(bench):
    """One download of 256 MiB against nginx with sendfile."""
    web = bench.scratch / "web"
    web.mkdir()
    file = random_file(web / "256MiB", 256 * MIB, "gateway-large")
    repo = bench.repo("gateway-large")
    cid = bench.run(["--repo", repo, "add", "-q", file])
    weft, nginx = [], []
    with bench.node(repo) as (gateway, _, _), bench.nginx(web) as peer:
        for round in range(ROUNDS + 1):
            weft.append(curl_speed(f"{gateway}/ipfs/{cid}"))
            nginx.append(curl_speed(f"{peer}/256MiB"))
    shutil.rmtree(web)
    shutil.rmtree(repo)
    weft, nginx = median(weft[1:]), median(nginx[1:])
    bench.row("gateway, 256 MiB file, throughput", "nginx sendfile", weft / nginx, 0.4, "high",
              f"weft {weft / MIB:.0f} MiB/s, nginx {nginx / MIB:.0f} MiB/s")


def wrk(url, script, connections, duration):
    """Requests a second that wrk counts; fails on any answer that is not a success."""
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{duration}s", "-s", script, url],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(out)
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))


def rotate(path, targets):
    """A wrk script that asks for one target after another."""
    quoted = ",".join(f'"{target}"' for target in targets)
    path.write_text(f"local targets = {{{quoted}}}\nlocal index = 0\n"
                    "request = function()\n  index = index % #targets + 1\n"
                    '  return wrk.format("GET", targets[index])\nend\n')
    return path


def gateway_small(bench):
    """Objects of 1 KiB over 64 connections against nginx with one worker."""
    count = 1000
    web = small_files(bench.scratch / "objects", count)
    repo = bench.repo("gateway-small")
    bench.run(["--repo", repo, "add", "-q", web])
    cids = [raw_cid(path.read_bytes()) for path in sorted((web / "000").iterdir())]
    ours = rotate(bench.scratch / "weft.lua", [f"/ipfs/{cid}" for cid in cids])
    theirs = rotate(bench.scratch / "nginx.lua", [f"/000/{i:06}" for i in range(count)])
    weft, nginx = [], []
    with bench.node(repo) as (gateway, _, _), bench.nginx(web) as peer:
        for round in range(4):
            weft.append(wrk(gateway, ours, 64, 5))
            nginx.append(wrk(peer, theirs, 64, 5))
    shutil.rmtree(web)
    shutil.rmtree(repo)
    weft, nginx = median(weft[1:]), median(nginx[1:])
    bench.row("gateway, 1 KiB objects, 64 connections, requests/s", "nginx, one worker",
              weft / nginx, 0.5, "high", f"weft {weft:.0f}/s, nginx {nginx:.0f}/s")


def raw_cid(content):
    """The CID of a raw block, as text."""
    import base64
    binary = b"\x01\x55\x12\x20" + hashlib.sha256(content).digest()
    return "b" + base64.b32encode(binary).decode().lower().rstrip("=")


def fetch(bench):
    """`weft fetch` of 256 MiB from a trustless gateway into an empty store against curl: the
    content thrown away, and written to a file besides."""
    file = random_file(bench.scratch / "256MiB", 256 * MIB, "fetch")
    source = bench.repo("fetch-source")
    cid = bench.run(["--repo", source, "add", "-q", file])
    target = bench.scratch / "out"

    def weft(gateway, *options):
        # Everything writes a new file: replacing one costs what the file system does about the old.
        target.unlink(missing_ok=True)
        repo = bench.repo("fetch", providers__http=gateway, routing__delegated="")
        time = seconds([bench.weft, "--repo", repo, "fetch", f"ipfs://{cid}", *options])
        stored = sum(path.stat().st_size for path in repo.rglob("*.seg"))
        if stored < 256 * MIB:
            raise RuntimeError(f"only {stored} bytes were stored")
        shutil.rmtree(repo)
        return time

    store, both, curl = [], [], []
    with bench.node(source) as (gateway, _, _):
        for round in range(2 * ROUNDS):
            store.append(weft(gateway))
            both.append(weft(gateway, "-o", target))
            if file.read_bytes() != target.read_bytes():
                raise RuntimeError("the fetched file differs")
            target.unlink()
            curl.append(seconds(["curl", "-sSf", "-o", target, f"{gateway}/ipfs/{cid}"]))
    shutil.rmtree(source)
    file.unlink()
    target.unlink()
    store, both, curl = median(store), median(both), median(curl)
    bench.row("fetch 256 MiB, verified, into an empty store, speed", "curl to a file",
              curl / store, 0.5, "high", f"weft {store:.2f} s, curl {curl:.2f} s")
    bench.row("fetch 256 MiB, verified, into an empty store and a file, speed", "curl to a file",
              curl / both, 0.5, "high", f"weft {both:.2f} s, curl {curl:.2f} s")


def memory(bench):
    """Resident memory: idle, while adding 10 GiB, while serving 256 connections."""
    repo = bench.repo("memory")
    with bench.node(repo) as (_, process, _):
        time.sleep(5)
        idle = resident_kib(process.pid)
    bench.row("memory, idle, MiB", "–", idle / 1024, 40, "low", f"{idle} KiB resident")

    file = random_file(bench.scratch / "10GiB", 10 * GIB, "memory")
    process = subprocess.Popen([bench.weft, "--repo", str(repo), "add", "-q", str(file)],
                               stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        # The status is empty for an instant while the process ends.
        try:
            peak = max(peak, resident_kib(process.pid, "VmHWM"))
        except (RuntimeError, OSError):
            break
        time.sleep(0.05)
    cid = process.communicate()[0].strip()
    file.unlink()
    bench.row("memory, adding 10 GiB, MiB", "–", peak / 1024, 150, "low", f"{peak} KiB at most")

    with bench.node(repo) as (gateway, process, _):
        script = bench.scratch / "ranges.lua"
        script.write_text('request = function()\n  local at = math.random(0, 9000) * 1048576\n'
                          '  local range = "bytes=" .. at .. "-" .. (at + 4194303)\n'
                          '  return wrk.format("GET", nil, {Range = range})\nend\n')
        subprocess.run(["wrk", "-t1", "-c256", "-d15s", "--timeout", "20s", "-s", script,
                        f"{gateway}/ipfs/{cid}"], check=True, stdout=subprocess.DEVNULL)
        peak = resident_kib(process.pid, "VmHWM")
    shutil.rmtree(repo)
    bench.row("memory, serving 256 connections, MiB", "–", peak / 1024, 150, "low",
              f"{peak} KiB at most")


def write_car(path, count):
    """A CARv1 of `count` raw blocks of 1 KiB below one directory-less root."""
    root = b"\x01\x55\x12\x20" + hashlib.sha256(random_bytes(1024, "car")).digest()
    header = (b"\xa2\x65roots\x81\xd8\x2a\x58\x25\x00" + root + b"\x67version\x01")
    with open(path, "wb") as car:
        car.write(bytes([len(header)]) + header)
        length = 36 + 1024
        prefix = bytes([length & 0x7f | 0x80, length >> 7]) + b"\x01\x55\x12\x20"
        seed = bytearray(random_bytes(1024, "car"))
        for index in range(count):
            car.write(prefix + hashlib.sha256(seed).digest() + seed)
            seed[:8] = struct.pack("<Q", index + 1)


def start(bench):
    """The time from starting the program to its first line, with a million blocks in store."""
    repo = bench.repo("start")
    car = bench.scratch / "million.car"
    write_car(car, 1_000_000)
    bench.run(["--repo", repo, "dag", "import", "--no-pin-roots", car])
    car.unlink()
    times = []
    for round in range(ROUNDS + 1):
        with bench.node(repo) as (_, _, elapsed):
            times.append(elapsed * 1000)
    overhead = store_overhead(bench, repo, 1_000_000)
    shutil.rmtree(repo)
    bench.row("start with 1,000,000 blocks, ms", "–", median(times[1:]), 150, "low",
              ", ".join(f"{value:.0f}" for value in times) + " ms")
    bench.row("store, overhead of a 1 KiB block, bytes", "–", overhead, 100, "low",
              "everything in the store's folder beyond the payload")


def store_overhead(bench, repo, count):
    """Bytes on disk beyond the payload for each block."""
    total = int(subprocess.run(["du", "-s", "--block-size=1", repo], check=True, text=True,
                               stdout=subprocess.PIPE).stdout.split()[0])
    return (total - count * 1024) / count


ALL = {
    "add-large": add_large,
    "add-small": add_small,
    "gateway-large": gateway_large,
    "gateway-small": gateway_small,
    "fetch": fetch,
    "memory": memory,
    "start": start,
    **mesh.ALL,
    **contracts.ALL,
    **calls.ALL,
    **browser.ALL,
    **page.ALL,
    **visitors.ALL,
}
