// Peers around this node, the farther out the longer a round trip takes. The table beside it says
// the same, and is what the keyboard and screen readers use.

import { draw, hash, make } from '../shared/dom.js'
import { kindOf, Peer } from './answers.js'

/** Half of the drawing's side. */
const HALF = 200
/** The rings, in milliseconds. */
const RINGS = [1, 10, 100, 1000]
/** The most peers that are drawn: those with the shortest way. */
const MOST = 300

/** How far from the middle a round trip of so many milliseconds is. */
function distance(milliseconds: number): number {
  const clamped = Math.min(2000, Math.max(0.1, milliseconds))
  return 28 + (Math.log10(clamped) + 1) / (Math.log10(2000) + 1) * (HALF - 46)
}

/** The map. */
export class PeerMap extends HTMLElement {
  private readonly drawing = draw('svg', { viewBox: `${-HALF} ${-HALF} ${2 * HALF} ${2 * HALF}`, role: 'img' })
  private readonly threads = draw('g')
  private readonly dots = draw('g')
  private readonly known = new Map<string, { dot: SVGCircleElement; line: SVGLineElement; bytes: number }>()

  connectedCallback(): void {
    if (this.firstChild !== null) return
    const rings = RINGS.map(milliseconds => draw('circle', { class: 'ring', r: distance(milliseconds) }))
    const labels = RINGS.map(milliseconds => draw(
      'text', { y: -distance(milliseconds) + 4 }, milliseconds < 1000 ? `${milliseconds} ms` : '1 s'))
    this.drawing.append(
      ...rings, this.threads, this.dots, draw('circle', { class: 'self', r: 9 }), ...labels)
    this.append(this.drawing, make('ul', { class: 'legend' },
      make('li', {}, make('span', { class: 'swatch is-weft' }), ' Weft nodes'),
      make('li', {}, make('span', { class: 'swatch is-page' }), ' pages'),
      make('li', {}, make('span', { class: 'swatch is-other' }), ' others')))
  }

  /** Shows these peers. */
  show(peers: readonly Peer[], chosen: string | undefined): void {
    const shown = peers.slice(0, MOST)
    const names = new Set(shown.map(({ peer }) => peer))
    for (const [name, { dot, line }] of this.known) {
      if (names.has(name)) continue
      dot.remove()
      line.remove()
      this.known.delete(name)
    }
    for (const peer of shown) this.place(peer, peer.peer === chosen)
    const near = peers.filter(({ roundTripNanoseconds: time }) => time !== undefined && time < 1e8).length
    this.drawing.setAttribute('aria-label',
      `${peers.length} peers around this node, ${near} of them within 100 milliseconds. The table lists them.`)
  }

  private place(peer: Peer, isChosen: boolean): void {
    const milliseconds = (peer.roundTripNanoseconds ?? 2e9) / 1e6
    // The same peer is always in the same direction.
    const angle = hash(peer.peer) / 2 ** 32 * 2 * Math.PI
    const radius = distance(milliseconds)
    const [x, y] = [radius * Math.cos(angle), radius * Math.sin(angle)]
    let entry = this.known.get(peer.peer)
    const bytes = peer.receivedBytes + peer.sentBytes
    if (entry === undefined) {
      entry = { dot: draw('circle', {}, draw('title')), line: draw('line'), bytes }
      entry.dot.addEventListener('click', () => {
        this.dispatchEvent(new CustomEvent('choose', { detail: peer.peer }))
      })
      this.known.set(peer.peer, entry)
      this.threads.append(entry.line)
      this.dots.append(entry.dot)
    }
    const { dot, line } = entry
    const size = 5 + Math.min(7, Math.log10(1 + bytes / 1024))
    for (const [name, value] of Object.entries({ cx: x, cy: y, r: size })) dot.setAttribute(name, value.toFixed(1))
    dot.setAttribute('class', `peer ${kindOf(peer)}${isChosen ? ' chosen' : ''}`)
    dot.firstChild!.textContent = `${peer.peer}: ${milliseconds.toFixed(1)} ms`
    line.setAttribute('x2', x.toFixed(1))
    line.setAttribute('y2', y.toFixed(1))
    // A kilobyte a second is more than keeping a connection takes.
    line.setAttribute('class', bytes - entry.bytes > 2048 ? 'thread busy' : 'thread')
    entry.bytes = bytes
  }
}

customElements.define('peer-map', PeerMap)

declare global {
  interface HTMLElementTagNameMap { 'peer-map': PeerMap }
}
