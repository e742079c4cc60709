"""Shows a page in Chromium and prints what the page reports (see pages.py).

Usage: chromium.py PAGE ARGUMENT [hold]

Any change of a local session description is forbidden to the page, as browsers are about to do.
"""

import contextlib
import subprocess

import pages


@contextlib.contextmanager
def chromium(url, profile):
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
        yield
    finally:
        pages.end(browser)


pages.show(chromium)
