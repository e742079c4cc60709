"""The benchmarks of pages: a browser as the peer of a node."""

import base64
import hashlib
import json
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from harness import MIB, processor_seconds, resident_kib

BROWSER = Path(__file__).parent.parent / "Tests" / "Browsers" / "chromium.py"


def plain_server():
    """A WebSocket on loopback that sends as many bytes as it is asked for and does nothing else:
    its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    piece = bytes([0x82, 127]) + (1 << 16).to_bytes(8, "big") + bytes(1 << 16)

    def serve(line):
        with line:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += line.recv(4096)
            key = next(x.split(b": ")[1] for x in request.split(b"\r\n")
                       if x.lower().startswith(b"sec-websocket-key"))
            digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            line.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                         b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
                         + base64.b64encode(digest) + b"\r\n\r\n")
            head = line.recv(6, socket.MSG_WAITALL)
            text = line.recv(head[1] & 127, socket.MSG_WAITALL)
            count = int(bytes(byte ^ head[2 + at % 4] for at, byte in enumerate(text)))
            for _ in range(count >> 16):
                line.sendall(piece)
            line.recv(1)

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return f"ws://127.0.0.1:{listener.getsockname()[1]}/"


def node(bench, repo):
    """A node that listens for browsers alone: yields its first line, its process and more."""
    return bench.running([
        bench.weft, "--repo", str(repo), "up", "--json", "--gateway", "127.0.0.1:0", "--listen",
        "/ip4/127.0.0.1/udp/0/webrtc-direct", "--no-bootstrap", "--no-mdns", "--no-port-mapping"])


def page(wish, *more):
    """The page that measures, as a process."""
    return [sys.executable, str(BROWSER), "webrtc-measure.html", json.dumps(wish), *more]


def speed(bench):
    """64 MiB from a node to a page in Chromium over WebRTC, and over a plain WebSocket."""
    repo = bench.repo("webrtc", routing__delegated="", mesh__perf="on")
    with node(bench, repo) as (first, process, _):
        before = processor_seconds(process.pid)
        wish = dict(node=first["listen"][0], plain=plain_server(), bytes=64 * MIB)
        done = subprocess.run(page(wish), check=True, stdout=subprocess.PIPE, text=True)
        said = json.loads(done.stdout)
        used = processor_seconds(process.pid) - before
    shutil.rmtree(repo)
    assert "error" not in said, said
    webrtc, plain = (statistics.median(said[name]) for name in ("webRTC", "webSocket"))
    each = used / (len(said["webRTC"]) * 64 * MIB / 1e9)
    bench.row("64 MiB to a page over WebRTC, MB/s", "–", webrtc, 25, "high",
              f"a plain WebSocket {plain:.0f} MB/s; the node {each:.1f} s of a core a GB")


def idle(bench):
    """Memory and processor time of a node with 300 connections of a page, which do nothing."""
    repo = bench.repo("webrtc-idle", routing__delegated="")
    with node(bench, repo) as (first, process, _):
        time.sleep(3)
        empty = resident_kib(process.pid)
        wish = dict(node=first["listen"][0], connections=300)
        with subprocess.Popen(page(wish, "hold"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as browser:
            try:
                said = json.loads(browser.stdout.readline())
                assert said == {"connections": 300}, said
                time.sleep(20)
                before, start = processor_seconds(process.pid), time.monotonic()
                time.sleep(60)
                used = processor_seconds(process.pid) - before
                passed = time.monotonic() - start
                more = resident_kib(process.pid) - empty
            finally:
                browser.stdin.close()
    shutil.rmtree(repo)
    bench.row("300 idle pages over WebRTC, more memory, MiB", "–", more / 1024, 64, "low",
              f"{empty} KiB before")
    bench.row("300 idle pages over WebRTC, % of a core", "–", used / passed * 100, 3, "low",
              f"{used:.2f} s in {passed:.0f} s")


ALL = {"webrtc": speed, "webrtc-idle": idle}
