"""Shows a page in Chromium and prints what the page reports.

Usage: chromium.py PAGE ARGUMENT [hold]

The page is one of this folder, on a server that only this machine reaches, where /dist/ is what
pages take from browser/. It finds the argument behind the # of its URL, and posts its report to
/result. Whatever is called site.txt is there, in any folder. Any change of a local session
description is forbidden to it, as browsers are about to do. With hold the page stays until standard
input ends, and what else it reports is printed as it comes.
"""

import functools
import http.server
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import urllib.parse

FOLDER = pathlib.Path(__file__).resolve().parent
DIST = FOLDER.parent.parent / "browser" / "dist"
reports = queue.Queue()


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".wasm": "application/wasm",
    }

    def translate_path(self, path):
        if path.startswith("/dist/") or path == "/weft-sw.js":
            self.directory, path = DIST, path.removeprefix("/dist")
        return super().translate_path(path)

    def do_GET(self):
        # What a site itself has, beside the mesh.
        if not self.path.endswith("/site.txt"):
            return super().do_GET()
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.end_headers()
        self.wfile.write(b"from the site")

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        reports.put(self.rfile.read(int(self.headers["content-length"])).decode())
        self.send_response(204)
        self.end_headers()


def print_more():
    while True:
        print(reports.get(), flush=True)


def main():
    page, argument, *hold = sys.argv[1:]
    handler = functools.partial(Handler, directory=FOLDER)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://localhost:{server.server_port}/{page}#{urllib.parse.quote(argument)}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            [
                "chromium",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--ignore-certificate-errors",
                "--disable-features=WebRtcHideLocalIpsWithMdns",
                "--force-fieldtrials=WebRTC-NoSdpMangleAllowForTesting/Enabled/",
                f"--user-data-dir={profile}",
                url,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            print(reports.get(timeout=60), flush=True)
            if hold:
                threading.Thread(target=print_more, daemon=True).start()
                sys.stdin.read()
        finally:
            browser.terminate()
            browser.wait()


main()
