"""A web page as a peer: what it loads, when its first byte comes, and how fast 64 MiB do."""

import base64
import hashlib
import json
import math
import re
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

from harness import MIB, median, random_file

ROOT = Path(__file__).parent.parent
SIZE = 64 * MIB


def page_size(bench):
    """The scripts and modules as a web server would send them."""
    sizes = {}
    for name in ("weft.js", "weft-node.js", "weft-rest.js", "weft-content.wasm", "weft-peers.wasm",
                 "weft-rest.wasm", "weft-calls.js", "weft-calls.wasm", "weft-calls-rest.wasm",
                 "weft-worker.js"):
        packed = subprocess.run(["brotli", "-c", "-q", "11", ROOT / "browser/dist" / name],
                                check=True, stdout=subprocess.PIPE).stdout
        sizes[name] = len(packed) / 1024
    detail = ", ".join(f"{name} {size:.1f}" for name, size in sizes.items())
    content = sizes["weft.js"] + sizes["weft-node.js"] + sizes["weft-content.wasm"]
    asking = (content + sizes["weft-peers.wasm"] + sizes["weft-calls.js"]
              + sizes["weft-calls.wasm"])
    bench.row("page: script and module, brotli, KiB", "WebTorrent's 64 KB", content, 64, "low",
              detail)
    bench.row("page: the same with asking for calls, brotli, KiB", "–", asking, 160, "low", detail)
    running = asking + sizes["weft-calls-rest.wasm"] + sizes["weft-worker.js"]
    bench.row("page: the same with running contracts, brotli, KiB", "–", running, 160, "low", detail)


@contextmanager
def plain_websocket(content):
    """A WebSocket that sends `content` to whoever connects: yields its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    frames = [bytes([0x82, 127]) + len(piece).to_bytes(8, "big") + piece
              for piece in (content[at:at + 65536] for at in range(0, len(content), 65536))]

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)[1]
            accept = base64.b64encode(
                hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept
                               + b"\r\n\r\n")
            for frame in frames:
                connection.sendall(frame)
            connection.recv(1)
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def page_transfer(bench):
    """64 MiB from a node to a page that checks and keeps them, against the bare transport; in a page
    that was open once before."""
    files = []
    for visit in range(2):
        files.append(random_file(bench.scratch / f"64MiB-{visit}", SIZE, f"page {visit}"))
        files.append(bench.scratch / f"small-{visit}")
        files[-1].write_bytes(f"hello {visit}".encode())
    ways = ("/ip4/127.0.0.1/tcp/0/ws", "/ip4/127.0.0.1/udp/0/webrtc-direct")
    figures = {name: [] for name in ("ws", "webrtc", "plain", "first", "fetch", "early ws",
                                     "early webrtc", "early first")}
    with plain_websocket(files[0].read_bytes()) as plain:
        for way in ways:
            repo = bench.repo("page")
            cids = [bench.run(["--repo", str(repo), "add", "-q", str(path)]) for path in files]
            command = [bench.weft, "--repo", str(repo), "up", "--json", "--gateway", "127.0.0.1:0",
                       "--listen", way, "--no-bootstrap", "--no-mdns", "--no-port-mapping"]
            with bench.running(command) as (first, _, _):
                for round in range(3):
                    argument = json.dumps({
                        "peer": first["listen"][0], "larges": cids[::2], "smalls": cids[1::2],
                        "gateway": first["gateway"], "plain": plain, "size": SIZE})
                    report = json.loads(subprocess.run(
                        ["python3", ROOT / "Tests/Browsers/chromium.py", "speed.html",
                         argument], check=True, stdout=subprocess.PIPE, text=True).stdout)
                    kind = "ws" if way.endswith("/ws") else "webrtc"
                    figures[kind].append(report["mesh"])
                    figures[f"early {kind}"].append(report["early"]["mesh"])
                    if kind == "webrtc":
                        continue
                    figures["early first"].append(report["early"]["first"])
                    for name in ("plain", "first", "fetch"):
                        figures[name].append(report[name])
    middle = {name: median(values) for name, values in figures.items()}
    told = ", ".join(f"{name} {middle[name]:.0f} MB/s" for name in ("ws", "webrtc", "plain"))
    told += (f"; on the first visit ws {middle['early ws']:.0f} MB/s,"
             f" webrtc {middle['early webrtc']:.0f} MB/s")
    bench.row("page: 64 MiB over a WebSocket, checked and kept, speed",
              "a plain WebSocket of the same bytes", middle["ws"] / middle["plain"], 0.5, "high", told)
    bench.row("page: 64 MiB over WebRTC, checked and kept, MB/s", "–", middle["webrtc"], 25, "high",
              told)
    bench.row("page: start to the first checked byte, ms more", "a plain fetch of the same",
              middle["first"] - middle["fetch"], 40, "low",
              f"from the mesh {middle['first']:.0f} ms, by HTTP {middle['fetch']:.0f} ms;"
              f" on the first visit from the mesh {middle['early first']:.0f} ms")


def page_contract(bench):
    """Programs as contracts in a page's worker, against the same calls of the node itself; both are
    asked from the page."""
    subprocess.run([ROOT / "bench/build-programs"], check=True, stdout=subprocess.DEVNULL)
    modules = sorted((ROOT / ".build/contracts/programs").glob("*.wasm"))
    repo = bench.repo("page-contract")
    cids = [bench.run(["--repo", str(repo), "add", "-q", str(module)]) for module in modules]
    command = [bench.weft, "--repo", str(repo), "up", "--json", "--gateway", "127.0.0.1:0",
               "--listen", "/ip4/127.0.0.1/tcp/0/ws", "--no-bootstrap", "--no-mdns",
               "--no-port-mapping"]
    headers = {"accept": "*/*", "weft-audit": "self", "weft-gas": str(1 << 33)}
    with bench.running(command) as (first, _, _):
        tasks = [{"url": f"{place}{cid}/run", "headers": headers, "mesh": {"audit": "self"},
                  "rounds": 5}
                 for cid in cids for place in ("weft://", first["gateway"] + "/weft/")]
        argument = json.dumps({"peers": first["listen"], "options": {}, "tasks": tasks})
        answers = json.loads(subprocess.run(
            ["python3", ROOT / "Tests/Browsers/chromium.py", "calls.html", argument],
            check=True, stdout=subprocess.PIPE, text=True).stdout)["answers"]
    ratios = {}
    for module, page, node in zip(modules, answers[::2], answers[1::2]):
        for name in ("weft-gas", "weft-record"):
            values = [answer.get("headers", {}).get(name) for answer in (page, node)]
            if None in values or values[0] != values[1]:
                raise RuntimeError(f"{module.name}: {name} is not the same: {page}, {node}")
        ratios[module.stem] = page["time"] / node["time"]
    mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
    bench.row("page: 12 programs as contracts, time, geometric mean",
              "the same in Wasmtime on the node (reported; gas and records are equal)", mean, 3,
              "low", ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))


class Browser:
    """A page in a browser of its own that is told what to do."""

    def __init__(self, page):
        self.process = subprocess.Popen(
            ["python3", ROOT / "Tests/Browsers/chromium.py", page, "", "hold"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.report()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def report(self):
        return json.loads(self.process.stdout.readline())

    def __call__(self, **command):
        self.tell(**command)
        return self.report()


def bare_channel(size, rounds):
    """MB/s of a data channel between two browsers that does nothing else."""
    with Browser("channel.html") as one, Browser("channel.html") as other:
        answer = other(description=one(offers=True))
        one(description=answer)
        speeds = []
        for _ in range(rounds):
            other.tell(receive=SIZE)
            one.tell(send=SIZE, size=size)
            speeds.append(SIZE / 1e3 / other.report()["milliseconds"])
            one.report()
        return speeds


def pages_transfer(bench):
    """64 MiB from a page to a page of another browser, against a bare data channel."""
    files = [random_file(bench.scratch / "64MiB", SIZE, "page"), bench.scratch / "small"]
    files[1].write_bytes(b"hello")
    places = [(bench.repo("pages-owner"), "/ip4/127.0.0.1/tcp/0/ws"),
              (bench.repo("pages-host"), "/ip4/127.0.0.1/udp/0/webrtc-direct")]
    urls = ["ipfs://" + bench.run(["--repo", str(places[0][0]), "add", "-q", str(path)])
            for path in files]
    commands = [[bench.weft, "--repo", str(repo), "up", "--json", "--gateway", "127.0.0.1:0",
                 "--listen", way, "--no-bootstrap", "--no-mdns", "--no-port-mapping"]
                for repo, way in places]

    def start(*nodes):
        return {"serve": True, "peers": [node["listen"][0] for node in nodes],
                # What one round keeps on disk is nothing for the next.
                "storage": {"memory": 256 * MIB, "disk": 0}}

    with bench.running(commands[1]) as (host, _, _), Browser("visitors.html") as giver:
        with bench.running(commands[0]) as (owner, _, _):
            said = giver(visitor=1, start=start(owner, host), peers=2, url=urls[1])
            assert said.get("count") == 5, said
            said = giver(visitor=1, url=urls[0])
            assert said.get("count") == SIZE, said
        speeds = []
        with Browser("visitors.html") as taker:
            for visitor in range(3):
                # The small file is what connects the two.
                said = taker(visitor=visitor, start=start(host), peers=1, url=urls[1])
                assert said.get("count") == 5, said
                said = taker(visitor=visitor, url=urls[0])
                assert said.get("count") == SIZE, said
                speeds.append(SIZE / 1e3 / said["milliseconds"])
                taker(visitor=visitor, leaves=True)
    bare = {size: median(bare_channel(size, 3)) for size in (16 << 10, 64 << 10)}
    bench.row("page: 64 MiB from a page in another browser, checked and kept, speed",
              "a bare data channel", median(speeds) / max(bare.values()), 0.7, "high",
              f"{median(speeds):.0f} MB/s, bare " + ", ".join(
                  f"{speed:.0f} MB/s by {size >> 10} KiB" for size, speed in bare.items()))


def page_worker(bench):
    """What the service worker costs a page of which nobody in the mesh has anything."""
    more, told = [], []
    for round in range(3):
        report = json.loads(subprocess.run(
            ["python3", ROOT / "Tests/Browsers/chromium.py", "worker-speed.html",
             json.dumps({"rounds": 51})], check=True, stdout=subprocess.PIPE, text=True).stdout)
        assert report["controlled"], "the service worker does not serve the page"
        more.append(report["worker"] - report["bare"])
        told.append(f"{report['bare']:.1f} and {report['worker']:.1f} ms")
    bench.row("page: a file of the site past the service worker, no peer, ms more",
              "the same without the worker", median(more), 5, "low",
              "without and with it: " + ", ".join(told))


ALL = {"page-size": page_size, "page-transfer": page_transfer, "pages-transfer": pages_transfer,
       "page-contract": page_contract, "page-worker": page_worker}
