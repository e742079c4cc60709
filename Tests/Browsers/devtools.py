"""Chromium as a person uses it: pages, keys and sizes, over its DevTools protocol.

`browser()` starts one and ends it; its pages are told where to go, what to press and how wide they
are, and say what they show. What pages report as errors is kept in `faults`.
"""

import asyncio
import base64
import contextlib
import json
import pathlib
import tempfile

import aiohttp

# How long a page may take until it shows what is waited for, in seconds.
PATIENCE = 120


class Page:
    """One tab."""

    def __init__(self, socket):
        self._socket = socket
        self._number = 0
        self._waiting = {}
        self.faults = []
        self._reader = asyncio.ensure_future(self._read())

    async def _read(self):
        async for message in self._socket:
            answer = json.loads(message.data)
            if "id" in answer:
                self._waiting.pop(answer["id"]).set_result(answer)
            elif answer["method"] == "Runtime.exceptionThrown":
                details = answer["params"]["exceptionDetails"]
                self.faults.append(details.get("exception", {}).get("description", details["text"]))
            elif answer["method"] == "Log.entryAdded":
                entry = answer["params"]["entry"]
                # Networks fail, also for workers; what the browser forbids is the page's fault.
                is_of_network = entry["source"] == "network" or (
                    entry["source"] == "worker" and entry["text"].startswith("WebSocket connection"))
                if entry["level"] == "error" and not is_of_network:
                    self.faults.append(entry["text"])

    async def send(self, method, **parameters):
        self._number += 1
        answer = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = answer
        await self._socket.send_json(
            {"id": self._number, "method": method, "params": parameters})
        result = await asyncio.wait_for(answer, PATIENCE)
        if "error" in result:
            raise RuntimeError(f"{method}: {result['error']['message']}")
        return result["result"]

    async def open(self, url):
        for domain in ("Page", "Runtime", "Log"):
            await self.send(f"{domain}.enable")
        await self.send("Page.navigate", url=url)
        await self.until(
            f"location.href.startsWith({json.dumps(url.split('#')[0])})"
            " && document.readyState === 'complete'")

    async def ask(self, expression):
        """The value of an expression, which may be a promise."""
        result = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"]["description"])
        return result["result"].get("value")

    async def until(self, expression):
        """Waits until an expression is true; gives its value."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            value = await self.ask(expression)
            if value:
                return value
            if asyncio.get_running_loop().time() > deadline:
                text = await self.ask("document.body.innerText")
                raise TimeoutError(f"{expression} never was; the page says: {text[:2000]}")
            # Not by a timer of the page: what waits in one that is left is sometimes never answered.
            await asyncio.sleep(0.02)

    async def look(self, width, height, scheme="light", motion="no-preference"):
        """Makes the page so wide and high, in light or dark."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=1, mobile=width < 600)
        await self.send(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": motion},
            ])

    async def press(self, key, text=""):
        """Presses and releases a key, by its name, such as Tab or ArrowRight."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowRight": 39, "ArrowLeft": 37,
                 "End": 35, "Home": 36}
        event = {"key": key, "code": "Space" if key == " " else key,
                 "windowsVirtualKeyCode": codes.get(key, 0)}
        text = {"Enter": "\r", " ": " "}.get(key, text)
        await self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    async def picture(self, path, whole=True):
        """Writes what the page shows as a PNG."""
        result = await self.send(
            "Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        pathlib.Path(path).write_bytes(base64.b64decode(result["data"]))


class Browser:
    """One browser with its profile."""

    def __init__(self, session, port):
        self._session = session
        self._base = f"http://127.0.0.1:{port}"
        self._whole = None

    async def visitor(self):
        """A page of somebody else: what the browser keeps for the others is not theirs."""
        if self._whole is None:
            async with self._session.get(f"{self._base}/json/version") as answer:
                address = (await answer.json())["webSocketDebuggerUrl"]
            self._whole = Page(await self._session.ws_connect(address, max_msg_size=64 << 20))
        context = await self._whole.send("Target.createBrowserContext")
        target = await self._whole.send(
            "Target.createTarget", url="about:blank", **context)
        address = f"{self._base}/devtools/page/{target['targetId']}"
        return Page(await self._session.ws_connect(address, max_msg_size=64 << 20))

    async def get(self, url):
        """What a server says, past all pages."""
        async with self._session.get(url) as answer:
            return await answer.text()

    async def page(self):
        async with self._session.put(f"{self._base}/json/new?about:blank") as answer:
            target = await answer.json()
        return Page(await self._session.ws_connect(
            target["webSocketDebuggerUrl"], max_msg_size=64 << 20))


@contextlib.asynccontextmanager
async def browser():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-features=WebRtcHideLocalIpsWithMdns",
            "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE)
        port = drained = None
        try:
            while port is None:
                line = (await asyncio.wait_for(process.stderr.readline(), PATIENCE)).decode()
                if line == "":
                    raise RuntimeError("chromium ended before it began")
                if line.startswith("DevTools listening on"):
                    port = int(line.split("/")[2].split(":")[1])
            # What it goes on to say must not fill its pipe.
            drained = asyncio.ensure_future(process.stderr.read())
            async with aiohttp.ClientSession() as session:
                yield Browser(session, port)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await asyncio.wait_for(process.wait(), PATIENCE)
            if drained is not None:
                drained.cancel()
