"""Opens the pages of a running node as visitors do, and prints what was seen as JSON.

Usage: own_pages.py TASK FILE, where the file has the arguments as JSON:

access {"pages": [[URL, EXPRESSION], …]}: each page, once its expression is true, wide in light and
narrow in dark: what axe-core finds, and whether it has to be scrolled sideways.
keyboard {"dashboard": URL, "call": URL}: whether everything in the dashboard is reached by Tab and seen to
be, what a slider and a button do when keys are pressed, and whether the focus stays on a peer and on an
account when the page shows something new, as after a call.
visit {"visits": [{"url": URL, "until": EXPRESSION, "then": EXPRESSION}, …]}: what the last expressions
of the pages are, each opened when the one before has been left open.
"""

import asyncio
import json
import pathlib
import sys

from devtools import browser

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
AXE = ROOT / ".build" / "axe" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def access(tabs, pages):
    found = []
    for url, ready in pages:
        page = await tabs.page()
        # What runs in the page to examine it is not the page's.
        await page.open(url)
        await page.until(ready)
        await page.ask(AXE.read_text() + ";undefined")
        for width, height, scheme in ((1280, 900, "light"), (390, 844, "dark")):
            await page.look(width, height, scheme, "reduce")
            result = await page.ask(
                f"axe.run({{runOnly: {json.dumps(RULES)}}}).then(({{violations}}) => "
                "violations.map(({id, nodes}) => `${id}: ${nodes.map(({target, failureSummary}) =>"
                " `${target} ${failureSummary}`).join(' | ')}`))")
            sideways = await page.ask(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if sideways > 0:
                result.append(f"it is {sideways} pixels too wide")
            name = url.split("#")[0]
            found += [f"{name} {width} {scheme}: {violation}" for violation in result]
        found += [f"{url}: {fault}" for fault in page.faults]
    return {"found": found}


FOCUS = """(() => {
  const element = document.activeElement
  const {outlineStyle} = getComputedStyle(element)
  return {id: element.id, tag: element.localName, text: element.textContent.trim().slice(0, 40),
          isPeer: element.matches('#peer-rows button'), isAccount: element.matches('.account summary'),
          isSeen: outlineStyle !== 'none'}
})()"""
STOPS = """[...document.querySelectorAll(
  'a[href], button, input, select, textarea, summary, [tabindex="0"]')].filter(
  element => !element.disabled && element.checkVisibility()).length"""


ACCOUNT = "document.querySelector('.account summary strong')?.textContent"


async def keyboard(tabs, dashboard, call):
    page = await tabs.page()
    await page.look(1280, 900)
    await page.open(dashboard)
    await page.until("document.getElementById('set-mesh-connections-max')?.ariaValueText")
    await page.until("document.querySelector('#peer-rows button') !== null")
    await page.until(ACCOUNT)
    seen, slider, kept = [], None, {}
    # What is set can be set back, which is one more button.
    for _ in range(await page.ask(STOPS) + 2):
        await page.press("Tab")
        focus = await page.ask(FOCUS)
        if focus["tag"] == "body":
            break
        seen.append(focus)
        if focus["id"] == "set-mesh-connections-max":
            await page.press("ArrowRight")
            slider = await page.until("document.getElementById('said').textContent")
        if focus["id"] == "examine":
            await page.press("Enter")
            await page.until("document.querySelectorAll('#findings > li').length")
        if focus["isPeer"] and "peer" not in kept:
            await page.press("Enter")
            await page.until("document.querySelector('#peer dl') !== null")
            # The page looks at the node once more.
            await page.ask("window.held = document.activeElement; true")
            looks = "performance.getEntriesByType('resource').length"
            await page.until(f"{looks} > {await page.ask(looks) + 4}")
            kept["peer"] = await page.ask("document.activeElement === window.held")
        if focus["tag"] == "summary" and focus["isAccount"]:
            await page.press("Enter")
            before = await page.ask(ACCOUNT)
            await tabs.get(call)
            await page.until(f"{ACCOUNT} !== {json.dumps(before)}")
            kept["account"] = await page.ask("document.activeElement.localName === 'summary'")
            kept["open"] = await page.ask("document.querySelector('.account').open")
    return {
        "kept": kept,
        "stops": await page.ask(STOPS), "reached": len(seen), "first": seen[0]["text"], "slider": slider,
        "unseen": [focus for focus in seen if not focus["isSeen"]],
        "findings": await page.ask("document.querySelectorAll('#findings > li').length"),
        "faults": page.faults,
    }


async def visit(tabs, visits):
    values, faults = [], []
    for task in visits:
        page = await tabs.page()
        await page.look(1280, 900)
        await page.open(task["url"])
        await page.until(task["until"])
        values.append(await page.ask(task["then"]))
        faults += page.faults
    return {"values": values, "faults": faults}


async def main():
    task, file = sys.argv[1:]
    arguments = json.loads(pathlib.Path(file).read_text())
    async with browser() as tabs:
        tasks = {"access": access, "keyboard": keyboard, "visit": visit}
        print(json.dumps(await tasks[task](tabs, **arguments)))


asyncio.run(main())
