// What was received and sent in the last two minutes.

import { draw, make, rate } from '../shared/dom.js'

/** How many points there are; one for each look at the node. */
const POINTS = 120
const HEIGHT = 100

/** The chart. */
export class RateChart extends HTMLElement {
  private readonly rates: { received: number; sent: number }[] = []
  private readonly received = draw('polyline', { class: 'in' })
  private readonly sent = draw('polyline', { class: 'out' })
  private readonly peak = make('span')
  private readonly drawing = draw('svg', {
    role: 'img', viewBox: `0 0 ${POINTS - 1} ${HEIGHT}`, preserveAspectRatio: 'none',
  }, this.received, this.sent)

  connectedCallback(): void {
    if (this.firstChild !== null) return
    this.append(
      make('div', { class: 'head' },
        make('span', {}, make('span', { class: 'swatch is-in' }), ' in, ',
          make('span', { class: 'swatch is-out' }), ' out (dashed), last 2 minutes'),
        this.peak),
      this.drawing)
  }

  /** Adds what was measured now. */
  add(received: number, sent: number): void {
    this.rates.push({ received, sent })
    if (this.rates.length > POINTS) this.rates.shift()
    const top = Math.max(1024, ...this.rates.flatMap(({ received: one, sent: other }) => [one, other]))
    const start = POINTS - this.rates.length
    const line = (pick: (entry: { received: number; sent: number }) => number): string =>
      this.rates.map((entry, index) =>
        `${start + index},${(HEIGHT - 2 - pick(entry) / top * (HEIGHT - 8)).toFixed(1)}`).join(' ')
    this.received.setAttribute('points', line(entry => entry.received))
    this.sent.setAttribute('points', line(entry => entry.sent))
    this.peak.textContent = `highest ${rate(top)}`
    this.drawing.setAttribute('aria-label',
      `Receiving ${rate(received)}, sending ${rate(sent)}; the highest of the last minutes was ${rate(top)}.`)
  }
}

customElements.define('rate-chart', RateChart)

declare global {
  interface HTMLElementTagNameMap { 'rate-chart': RateChart }
}
