"""Five visitors of a page with 50 pictures: how much of them its site has to bring, and how long the page
loads, against the same page without Weft."""

import asyncio
import contextlib
import http.server
import json
import struct
import sys
import threading
import time
import urllib.parse
import zlib
from pathlib import Path

from harness import median, random_bytes

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "Tests/Browsers"))

VISITORS = 5
PICTURES = 50
# Pictures of noise, each of some 60 KB.
WIDTH, HEIGHT = 160, 128
# How far away the site is, in seconds there and back: visitors and the node are on one machine, sites
# are not.
ROUND_TRIP = 0.04
# What a connection over such a way carries in its first round trip (RFC 6928), twice as much in each
# further one, in bytes.
FIRST_WINDOW = 10 * 1460


def picture(seed):
    """A PNG that does not compress."""
    def part(name, data):
        return (struct.pack(">I", len(data)) + name + data
                + struct.pack(">I", zlib.crc32(name + data)))
    noise = random_bytes(WIDTH * HEIGHT * 3, f"picture {seed}")
    rows = b"".join(b"\0" + noise[at:at + WIDTH * 3] for at in range(0, len(noise), WIDTH * 3))
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(rows, 0))
            + part(b"IEND", b""))


class Visit(http.server.BaseHTTPRequestHandler):
    """A visitor's connection to the site."""

    protocol_version = "HTTP/1.1"
    kinds = {".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm",
             ".png": "image/png"}

    def setup(self):
        super().setup()
        self.window = self.room = FIRST_WINDOW
        time.sleep(ROUND_TRIP)

    def do_GET(self):
        time.sleep(ROUND_TRIP)
        body = self.server.files.get(urllib.parse.urlsplit(self.path).path)
        self.send_response(200 if body is not None else 404)
        body = body or b""
        self.send_header("content-type", self.kinds.get(Path(self.path).suffix, "text/plain"))
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "max-age=3600")
        self.end_headers()
        # Who was idle until this request has had all that was sent before.
        self.room = self.window
        while body:
            if self.room == 0:
                time.sleep(ROUND_TRIP)
                self.window *= 2
                self.room = self.window
            piece, body = body[:self.room], body[self.room:]
            self.room -= len(piece)
            self.wfile.write(piece)
            if self.path.startswith("/ipfs/"):
                self.server.count(len(piece))

    def log_message(self, *arguments):
        pass


class Site(http.server.ThreadingHTTPServer):
    """The site: what lies in `files`, by path. How much it has sent of pictures is counted."""

    daemon_threads = True
    # Browsers open many connections at once, and wait a second for one that finds no place.
    request_queue_size = 128

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Visit)
        self.files = files
        self.url = f"http://localhost:{self.server_port}"
        self.sent = 0
        self.visits = 0
        self.changed = threading.Condition()

    def process_request_thread(self, *arguments):
        with self.changed:
            self.visits += 1
        try:
            super().process_request_thread(*arguments)
        finally:
            with self.changed:
                self.visits -= 1
                self.changed.notify_all()

    def count(self, sent):
        with self.changed:
            self.sent += sent

    def forget(self):
        """Counts from nothing, when nobody is there any more."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.visits == 0, timeout=30):
                raise TimeoutError("a browser that was ended is still connected")
            self.sent = 0

    def handle_error(self, *_):
        """Who has left in the middle of an answer did so on purpose."""


@contextlib.contextmanager
def site(files):
    """The site on a port of its own."""
    server = Site(files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


# As docs/browser.md says: what Weft takes is fetched before the pictures are.
START = """<link rel="modulepreload" href="/weft.js">
<link rel="preload" href="/weft-content.wasm" as="fetch" crossorigin>
<script type="module">
import { Weft } from '/weft.js'
window.weft = await Weft.start({ peers: %s, serve: true, serviceWorker: '/weft-sw.js' })
</script>"""


def pages(cid, peers):
    """The page of the pictures with and without Weft, and the one before it on the site."""
    images = "".join(f'<img src="/ipfs/{cid}/{number:02}.png" width="64">' for number in range(PICTURES))
    start = START % json.dumps(peers)
    head = '<!doctype html><meta charset="utf-8"><title>pictures</title>'
    return {"/start.html": head + start, "/pictures.html": head + start + images, "/plain.html": head + images,
            "/first.html": head}


LOADED = """(() => {
  const { loadEventEnd, startTime } = performance.getEntriesByType('navigation')[0]
  return document.images.length === %d && [...document.images].every(
    image => image.complete && image.naturalWidth > 0) && loadEventEnd > 0 && loadEventEnd - startTime
})()""" % PICTURES


async def visit(tabs, url, first, pictures):
    """A visitor of its own, who sees one page of the site and then the pictures: how long these took
    to load, in milliseconds, and the open page."""
    page = await tabs.visitor()
    await page.open(f"{url}/{first}")
    if first == "start.html":
        await page.until("window.weft && navigator.serviceWorker.controller !== null"
                         " && weft.status.peers.length > 0")
    await page.send("Page.navigate", url=f"{url}/{pictures}")
    await page.until(f"location.pathname === '/{pictures}' && document.readyState === 'complete'")
    return await page.until(LOADED), page


async def measure(place):
    from devtools import browser
    times = {"plain": [], "weft": []}
    async with browser() as tabs:
        for _ in range(VISITORS):
            elapsed, _ = await visit(tabs, place.url, "first.html", "plain.html")
            times["plain"].append(elapsed)
    place.forget()
    fetched, pages = [], []
    async with browser() as tabs:
        for _ in range(VISITORS):
            elapsed, page = await visit(tabs, place.url, "start.html", "pictures.html")
            times["weft"].append(elapsed)
            pages.append(page)
        for page in pages:
            await page.until("window.weft !== undefined")
            fetched.append(await page.ask(
                "weft.status.peers.map(({ kind, bytesFetched }) => [kind, bytesFetched])"))
    return times, fetched, place.sent


def page_visitors(bench):
    folder = bench.scratch / "pictures"
    folder.mkdir(exist_ok=True)
    files = {f"{number:02}.png": picture(number) for number in range(PICTURES)}
    for name, body in files.items():
        (folder / name).write_bytes(body)
    repo = bench.repo("visitors")
    cid = bench.run(["--repo", str(repo), "add", "-q", str(folder)]).splitlines()[-1]
    command = [bench.weft, "--repo", str(repo), "up", "--json", "--gateway", "127.0.0.1:0",
               "--listen", "/ip4/127.0.0.1/tcp/0/ws", "--no-bootstrap", "--no-mdns",
               "--no-port-mapping"]
    with bench.running(command) as (node, _, _):
        served = {path: body.encode() for path, body in pages(cid, node["listen"]).items()}
        served |= {f"/ipfs/{cid}/{name}": body for name, body in files.items()}
        served |= {f"/{path.name}": path.read_bytes() for path in (ROOT / "browser/dist").iterdir()
                   if path.suffix in (".js", ".wasm")}
        with site(served) as place:
            times, fetched, sent = asyncio.run(measure(place))
    by_kind = {kind: sum(count for peers in fetched for name, count in peers if name == kind)
               for kind in ("node", "page")}
    total = by_kind["node"] + by_kind["page"]
    ratio = median(times["weft"]) / median(times["plain"])
    told = ", ".join(f"{name} " + " ".join(f"{value:.0f}" for value in values) + " ms"
                     for name, values in times.items())
    bench.row("page: 50 pictures, 5 visitors, part of the bytes from peers", "origin only",
              total / max(1, total + sent), 0.8, "high",
              f"from the node {by_kind['node'] / 1e6:.1f} MB, from visitors {by_kind['page'] / 1e6:.1f} MB,"
              f" the site sent {sent / 1e6:.1f} MB")
    bench.row("page: 50 pictures, 5 visitors, time until the page is loaded", "origin only", ratio, 1.05,
              "low", told)


ALL = {"page-visitors": page_visitors}
