// <weft-status>: says who the page is connected with and what came from them, and lets the visitor
// decide whether others get what the page has loaded. It is off until the visitor turns it on, and
// the choice is remembered on this site.

import type { Weft } from '../src/page.js'

/** Where the visitor's choice is kept. */
const CHOICE = 'weft-serve'
/** How often the figures are looked at, in milliseconds. */
const PAUSE = 1000

/** The visitor's choice; undefined if there is none, or the browser keeps nothing for this site. */
function remembered(): boolean | undefined {
  try {
    const choice = localStorage.getItem(CHOICE)
    return choice === null ? undefined : choice === 'yes'
  } catch {
    return undefined
  }
}

function remember(isServing: boolean): void {
  try {
    localStorage.setItem(CHOICE, isServing ? 'yes' : 'no')
  } catch {
    // Then it holds for this visit.
  }
}

const style = `
:host { display: inline-block; position: relative; font: inherit; font-size: .9rem; color: inherit }
details > summary {
  display: inline-flex; align-items: center; gap: .5em; min-height: 2.25rem; padding: .3em .8em;
  border: 1px solid currentColor; border-color: color-mix(in srgb, currentColor 45%, transparent);
  border-radius: 999px; cursor: pointer; list-style: none; white-space: nowrap;
}
summary::-webkit-details-marker { display: none }
summary:focus-visible, input:focus-visible { outline: 3px solid var(--weft-focus, #2b7de0); outline-offset: 2px }
.dot { width: .65em; height: .65em; border-radius: 50%; border: 2px solid currentColor; opacity: .75 }
:host([connected]) .dot { background: var(--weft-mark, #12805f); border-color: var(--weft-mark, #12805f); opacity: 1 }
.panel {
  position: absolute; z-index: 20; inset-inline-end: 0; top: calc(100% + .4rem); width: min(21rem, 88vw);
  padding: 1rem; border-radius: 12px; border: 1px solid #8886;
  background: var(--weft-back, Canvas); color: var(--weft-ink, CanvasText);
  box-shadow: 0 8px 30px #0003;
}
dl { display: grid; grid-template-columns: 1fr auto; gap: .25rem 1rem; margin: 0 0 .8rem }
dd { margin: 0; font-variant-numeric: tabular-nums; text-align: end }
label { display: flex; gap: .6rem; align-items: flex-start; font-weight: 600; cursor: pointer }
input { flex: none; width: 1.2rem; height: 1.2rem; margin: .1rem 0 0; accent-color: var(--weft-mark, #12805f) }
.why { margin: .5rem 0 0; line-height: 1.45 }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
@media (max-width: 40rem) {
  .panel { position: fixed; inset: auto .5rem .5rem .5rem; top: auto; width: auto }
}
@media (forced-colors: active) { .panel { border: 1px solid } }
`

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

function size(bytes: number): string {
  const unit = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** unit
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)} ${UNITS[unit]}`
}

function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name, properties: Partial<HTMLElementTagNameMap[Name]> = {}, ...children: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

/** The element. */
export class WeftStatus extends HTMLElement {
  private peer: Weft | undefined
  private timer: ReturnType<typeof setInterval> | undefined
  private readonly summary = element('span', { textContent: 'Weft: not connected' })
  private readonly announced = element('span', { className: 'unseen' })
  private readonly figures: Record<'peers' | 'fetched' | 'site' | 'served', HTMLElement> = {
    peers: element('dd'), fetched: element('dd'), site: element('dd'), served: element('dd'),
  }
  private readonly siteRow = element('dt', { textContent: 'Loaded from this site' })
  private readonly serving = element('input', { type: 'checkbox', disabled: true })
  private readonly details = element('details')

  constructor() {
    super()
    const root = this.attachShadow({ mode: 'open' })
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(style)
    root.adoptedStyleSheets = [sheet]
    this.announced.setAttribute('role', 'status')
    this.serving.setAttribute('role', 'switch')
    const why = element('slot', { name: 'why' },
      'Visitors who open the same things then get them from your browser too: that takes some of '
      + 'your upload, and they see your IP address. Only what this page has loaded is given, and '
      + 'only while it is open and this is on, which nobody turns on but you.')
    const explanation = element('p', { className: 'why', id: 'why' }, why)
    this.serving.setAttribute('aria-describedby', explanation.id)
    this.details.append(
      element('summary', {}, element('span', { className: 'dot' }), this.summary),
      element('div', { className: 'panel' },
        element('dl', {},
          element('dt', { textContent: 'Peers' }), this.figures.peers,
          element('dt', { textContent: 'Loaded from peers' }), this.figures.fetched,
          this.siteRow, this.figures.site,
          element('dt', { textContent: 'Given to others' }), this.figures.served),
        element('label', {}, this.serving, 'Give other visitors what this page has loaded'),
        explanation))
    root.append(this.details, this.announced)
    this.serving.addEventListener('change', () => this.choose(this.serving.checked))
    this.addEventListener('keydown', ({ key }) => {
      if (key !== 'Escape' || !this.details.open) return
      this.details.open = false
      this.details.querySelector('summary')?.focus()
    })
  }

  /** The page's peer, as `Weft.start` gives it. */
  get weft(): Weft | undefined {
    return this.peer
  }

  set weft(peer: Weft | undefined) {
    this.peer = peer
    this.serving.disabled = peer === undefined
    const choice = remembered()
    if (peer !== undefined && choice !== undefined) peer.serve = choice
    this.show()
  }

  connectedCallback(): void {
    this.timer = setInterval(() => this.show(), PAUSE)
    document.addEventListener('click', this.dismiss)
    this.show()
  }

  disconnectedCallback(): void {
    clearInterval(this.timer)
    document.removeEventListener('click', this.dismiss)
  }

  /** A click beside the panel closes it. */
  private readonly dismiss = (event: Event): void => {
    if (!event.composedPath().includes(this)) this.details.open = false
  }

  private choose(isServing: boolean): void {
    if (this.peer === undefined) return
    this.peer.serve = isServing
    remember(isServing)
    this.announced.textContent = isServing
      ? 'Other visitors now get what this page has loaded.'
      : 'Nothing is given to other visitors any more.'
    this.dispatchEvent(new CustomEvent('serve', { detail: isServing, bubbles: true }))
  }

  private show(): void {
    const status = this.peer?.status
    const count = status?.peers.length ?? 0
    const line = count === 0 ? 'not connected' : count === 1 ? '1 peer' : `${count} peers`
    this.toggleAttribute('connected', count > 0)
    if (this.summary.textContent !== `Weft: ${line}`) {
      this.summary.textContent = `Weft: ${line}`
      this.announced.textContent = count === 0 ? 'No peer is connected.' : `Connected: ${line}.`
    }
    if (status === undefined) return
    this.serving.checked = status.serve
    this.figures.peers.textContent = `${count}`
    this.figures.fetched.textContent = size(status.bytesFetched)
    this.figures.served.textContent = size(status.bytesServed)
    const fromSite = (status as { bytesFromSite?: number }).bytesFromSite
    this.siteRow.hidden = this.figures.site.hidden = fromSite === undefined
    this.figures.site.textContent = size(fromSite ?? 0)
  }
}

customElements.define('weft-status', WeftStatus)

declare global {
  interface HTMLElementTagNameMap { 'weft-status': WeftStatus }
}
