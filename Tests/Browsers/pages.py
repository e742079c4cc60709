"""What the browsers of the tests show: the pages of this folder, on a server that only this machine
reaches, where /dist/ is what pages take from browser/.

A page finds its argument behind the # of its URL and posts what it reports to /result; each report is
printed. Whatever is called site.txt is there, in any folder, half a second later in one called late, and a style
sheet wherever ?sheet asks for it; below
/lying/ is anything, and what is below /silent/ and /stalling/ never comes. With hold, the page stays until standard input ends, and a GET of
/next answers with the next line of that.
"""

import functools
import http.server
import json
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

FOLDER = pathlib.Path(__file__).resolve().parent
DIST = FOLDER.parent.parent / "browser" / "dist"
PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="11" height="9"/>'
# What pages report, and None when standard input has ended.
reports = queue.Queue()
lines = queue.Queue()
modules = []


def end(browser):
    """Ends a browser, which has ten seconds to do it by itself."""
    browser.terminate()
    try:
        browser.wait(10)
    except subprocess.TimeoutExpired:
        browser.kill()
        browser.wait()


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".wasm": "application/wasm",
    }

    def translate_path(self, path):
        if path.startswith("/dist/") or path == "/weft-sw.js":
            self.directory, path = DIST, path.removeprefix("/dist")
        if path.startswith("/slow/"):
            self.directory, path = DIST, path.removeprefix("/slow")
        return super().translate_path(path)

    def do_GET(self):
        name = urllib.parse.urlparse(self.path).path.split("/")[-1]
        if name.endswith(".wasm"):
            modules.append(name)
        if self.path == "/modules":
            return self.say(json.dumps(modules).encode(), "application/json")
        if self.path == "/next":
            return self.say(lines.get().encode())
        # Scripts of which the one that is seldom needed takes its time.
        if self.path == "/slow/weft-rest.js":
            time.sleep(1)
        # What a site itself has, beside the mesh.
        if self.path.endswith("/site.txt"):
            if "/late/" in self.path:
                time.sleep(0.5)
            return self.say(b"from the site")
        if self.path.endswith("?sheet"):
            return self.say(b"p { color: red }", "text/css")
        # What the site has elsewhere.
        if self.path.endswith("/moved.svg"):
            self.send_response(302)
            self.send_header("location", f"http://127.0.0.1:{self.server.server_port}/picture.svg")
            return self.end_headers()
        if self.path == "/picture.svg":
            return self.say(PICTURE, "image/svg+xml")
        # A gateway that lies.
        if self.path.startswith("/lying/"):
            return self.say(b"anything")
        # A gateway that says nothing, and one that stops in the middle of what it says, until the page
        # has enough of it.
        if self.path.startswith(("/silent/", "/stalling/")):
            if self.path.startswith("/stalling/"):
                self.send_response(200)
                self.send_header("content-length", "1000000")
                self.end_headers()
                self.wfile.write(b"anything")
            self.connection.recv(1)
            return
        super().do_GET()

    def say(self, text, kind="text/plain"):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        reports.put(self.rfile.read(int(self.headers["content-length"])).decode())
        self.send_response(204)
        self.end_headers()


def read_input():
    for line in sys.stdin:
        lines.put(line.rstrip("\n"))
    reports.put(None)


def show(browser):
    """Shows what the arguments of this program say in a browser, which is a context that takes a URL
    and a folder for its profile."""
    page, argument, *hold = sys.argv[1:]
    handler = functools.partial(Handler, directory=FOLDER)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if hold:
        threading.Thread(target=read_input, daemon=True).start()
    url = f"http://localhost:{server.server_port}/{page}#{urllib.parse.quote(argument)}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, browser(url, profile):
        report = reports.get(timeout=240)
        while report is not None:
            print(report, flush=True)
            if not hold:
                return
            report = reports.get()
