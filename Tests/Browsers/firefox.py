"""Shows a page in Firefox and prints what the page reports (see pages.py).

Usage: firefox.py PAGE ARGUMENT [hold]

Firefox is driven by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/), over a WebSocket at a port
that the system chooses.
"""

import asyncio
import contextlib
import json
import pathlib
import subprocess
import time

import aiohttp
import pages

PREFERENCES = {
    # Pages on one machine find each other without multicast, and at its loopback address.
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.peerconnection.ice.loopback": True,
    # A new profile asks nobody for anything.
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.region.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.push.connection.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.url": "",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "",
    "toolkit.telemetry.enabled": False,
}


async def navigate(address, url):
    """Has the browser's only tab show a page."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{address}/session") as socket:
        number = 0

        async def ask(method, **parameters):
            nonlocal number
            number += 1
            await socket.send_json(dict(id=number, method=method, params=parameters))
            while True:
                answer = await socket.receive_json()
                if answer.get("id") == number:
                    assert answer["type"] == "success", answer
                    return answer["result"]

        await ask("session.new", capabilities={})
        tree = await ask("browsingContext.getTree")
        await ask("browsingContext.navigate", context=tree["contexts"][0]["context"], url=url,
                  wait="none")
        await ask("session.end")


def listening(profile, browser):
    """Where the browser listens, which it writes into its profile."""
    file = pathlib.Path(profile, "WebDriverBiDiServer.json")
    end = time.monotonic() + 240
    while time.monotonic() < end:
        assert browser.poll() is None, "Firefox has ended"
        with contextlib.suppress(OSError, ValueError):
            place = json.loads(file.read_text())
            return f"ws://{place['ws_host']}:{place['ws_port']}"
        time.sleep(0.05)
    raise TimeoutError("Firefox does not listen")


@contextlib.contextmanager
def firefox(url, profile):
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});"
             for name, value in PREFERENCES.items()]
    pathlib.Path(profile, "user.js").write_text("\n".join(lines))
    browser = subprocess.Popen(
        ["firefox-esr", "--headless", "--no-remote", "--profile", profile,
         "--remote-debugging-port", "0", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        asyncio.run(asyncio.wait_for(navigate(listening(profile, browser), url), 240))
        yield
    finally:
        pages.end(browser)


pages.show(firefox)
