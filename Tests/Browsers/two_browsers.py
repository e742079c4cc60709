"""Opens the pages of a running node in two browsers, as two visitors do, and prints what was seen as JSON.

Usage: two_browsers.py TASK FILE, where the file has the arguments as JSON:

film {"start": URL, "film": URL, "node": PID}: both visitors turn the switch on, the first one sees the
whole film, the second one its beginning; then the node is stopped, and the second one sees the end.
calls {"url": URL, "liar": SCRIPT}: a call in the playground on which the node and a page of the other
browser have to agree; then one on which a second page there, whose worker is that script, has to
agree, too.
"""

import asyncio
import json
import os
import pathlib
import signal
import sys

from devtools import browser

STATUS = "document.getElementById('status')"
PEERS = f"{STATUS}.weft.status.peers"
VISITORS = f"{PEERS}.filter(({{kind}}) => kind === 'page')"
SWITCH = f"{STATUS}.shadowRoot.querySelector('input')"
# Sees the film on from a place, as fast as the browser goes, and says where the picture is then.
WATCH = """(async (from, to) => {
  const film = document.getElementById('film')
  const happens = name => new Promise(resolve => film.addEventListener(name, resolve, {once: true}))
  const shown = () => ({time: film.currentTime, width: film.videoWidth, isOver: film.ended,
                        fault: film.error?.message})
  if (from > 0) {
    const seeked = happens('seeked')
    film.currentTime = from
    await Promise.race([seeked, happens('error')])
  }
  film.muted = true
  film.playbackRate = 16
  await film.play()
  while (!film.ended && film.error === null && film.currentTime < to) {
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  film.pause()
  return shown()
})"""


async def film(one, two, start, film, node):
    pages = []
    seen = {}
    for name, visitor, end in (("first", one, "Infinity"), ("second", two, "2")):
        page = await visitor.page()
        await page.look(1280, 900)
        await page.open(start)
        await page.until(f"{STATUS}.weft")
        await page.ask(f"{SWITCH}.checked || {SWITCH}.click()")
        await page.open(film)
        await page.until("document.getElementById('film').readyState >= 2")
        seen[name] = await page.ask(f"{WATCH}(0, {end})")
        pages.append(page)
    # Who has it is asked for whenever something is read; what is here already is read again.
    await pages[1].until(
        f"{VISITORS}.length === 1 || (globalThis.reads ??= setInterval(() =>"
        f" {STATUS}.weft.fetch('ipfs://' + location.hash.slice(1), {{method: 'HEAD'}}), 2000), false)")
    seen["before"] = await pages[1].ask(PEERS)
    os.kill(node, signal.SIGTERM)
    for page in pages:
        await page.until(f"{PEERS}.length === {VISITORS}.length")
    seen["end"] = await pages[1].ask(f"{WATCH}(30, Infinity)")
    seen["after"] = await pages[1].ask(PEERS)
    seen["given"] = await pages[0].ask(PEERS)
    return {**seen, "faults": pages[0].faults + pages[1].faults}


CALL = """(document.getElementById('where').value = %s, document.getElementById('audit').value = %s,
  document.getElementById('path').value = `hello?${performance.now()}`,
  document.getElementById('send').click(), false)"""


def until_answered(place, audit, wanted):
    """Calls until the answer has what is wanted: who can be asked is found out by and by."""
    return (f"document.getElementById('outcome').textContent.includes({json.dumps(wanted)})"
            f" || (document.getElementById('send').disabled ? false"
            f" : {CALL % (json.dumps(place), json.dumps(audit))})")


def until_met(count):
    """Calls until so many pages are connected, which are looked for whenever something is called."""
    return f"{VISITORS}.length === {count} || {until_answered('peers', 'none', 'nobody says that')}"


async def responder(visitor, url, script=None):
    """A page that runs contracts for others; whoever is cheaper has answered its own call of this one."""
    page = await visitor.page()
    await page.look(1280, 900)
    if script is not None:
        # A page cannot be told to lie, so its worker is another one: its node, which starts that, is on the
        # page's thread.
        await page.send("Page.enable")
        await page.send("Page.setBypassCSP", enabled=True)
        source = json.dumps(pathlib.Path(script).read_text().split("importScripts")[0])
        await page.send("Page.addScriptToEvaluateOnNewDocument", source=(
            "globalThis.Worker = class extends Worker { constructor(script, ...rest) {"
            " if (`${script}`.endsWith('weft-node.js')) throw new TypeError('not here');"
            " if (!`${script}`.endsWith('weft-worker.js')) return super(script, ...rest), this;"
            f" const lying = {source} + `importScripts('${{script}}')`;"
            " super(URL.createObjectURL(new Blob([lying], {type: 'text/javascript'})), ...rest)"
            " } }"))
    await page.open(url)
    await page.until(f"{STATUS}.weft && ({PEERS}.length > 0)")
    await page.ask("document.getElementById('serving').checked"
                   " || document.getElementById('serving').click()")
    await page.until("document.getElementById('served').textContent !== ''")
    await page.until(f"{PEERS}.length > 0")
    await page.until(until_answered("page", "none", "Answered by"))
    return page


async def calls(one, two, url, liar):
    honest = await responder(two, url)
    asker = await responder(one, url)
    # A peer that runs no contracts itself is another one, which has yet to meet the others.
    await asker.ask(CALL % ('"peers"', '"none"'))
    await asker.until(f"!document.getElementById('send').disabled && ({until_met(1)})")
    await asker.until(until_answered("peers", "quorum:2", "2 peers agree"))
    served = await honest.until(
        "document.getElementById('served').textContent.includes('run here for others')"
        " && document.getElementById('served').textContent")
    agreed = await asker.ask("document.querySelector('#outcome pre').textContent")
    lying = await responder(two, url, liar)
    await asker.until(until_met(2))
    await asker.until(
        "document.getElementById('liar').hidden === false"
        f" || {until_answered('peers', 'quorum:3', 'nobody says that')}")
    return {
        "served": served, "agreed": agreed,
        "liar": await lying.ask(f"{STATUS}.weft.status.peer"),
        "said": await asker.ask("document.getElementById('liar').textContent"),
        "answer": await asker.ask("document.querySelector('#outcome pre')?.textContent"),
        "faults": honest.faults + asker.faults,
    }


async def main():
    task, file = sys.argv[1:]
    arguments = json.loads(pathlib.Path(file).read_text())
    async with browser() as one, browser() as two:
        tasks = {"film": film, "calls": calls}
        print(json.dumps(await tasks[task](one, two, **arguments)))


asyncio.run(main())
