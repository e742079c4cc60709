// A picture of where each piece came from: a cloth that is woven as pieces arrive. Each row is a
// piece, as long as it has bytes, in the colour of who sent it; a table beside it says the same.

import type { Weft } from '/weft.js'
import { bytes, draw, make, number, short } from './dom.js'

/** How many colours the style sheet has. */
const COLOURS = 8
/** How many pieces are drawn at the most; the table counts all. */
const MOST = 2000
/** How many bytes a cell stands for. */
const CELL = 32 << 10
const COLUMNS = 32

interface Source {
  readonly name: string
  readonly colour: number
  bytes: number
  pieces: number
  row: HTMLTableRowElement
}

/** Shows what comes to a page, from whom. */
export class Cloth extends HTMLElement {
  private readonly sources = new Map<string, Source>()
  private readonly drawing = draw('svg', { role: 'img', viewBox: '0 0 0 0' })
  private readonly rows = make('tbody')
  private readonly empty = make('p', { class: 'soft small' }, 'Nothing has come yet.')
  private cells = 0
  private names: (peer: string) => string = short

  /** Begins to watch a page's peer; `names` says what peers are called. */
  watch(weft: Weft, names: (peer: string) => string): void {
    this.names = names
    this.replaceChildren(
      make('div', { class: 'cloth' }, this.drawing, this.empty),
      make('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Where pieces came from' },
        make('table', {},
          make('caption', {}, 'Every piece was checked against its hash before it was used.'),
          make('thead', {}, make('tr', {},
            make('th', { scope: 'col' }, 'From'), make('th', { scope: 'col', class: 'right' }, 'Pieces'),
            make('th', { scope: 'col', class: 'right' }, 'Bytes'))),
          this.rows)))
    weft.addEventListener('piece', ({ detail }) => this.add(detail.peer, detail.bytes))
  }

  /** The colour of a peer, as a custom property of the style sheet. */
  colour(peer: string): string {
    return `var(--thread-${this.source(peer).colour})`
  }

  private source(peer: string): Source {
    const known = this.sources.get(peer)
    if (known !== undefined) return known
    const source: Source = {
      name: this.names(peer), colour: this.sources.size % COLOURS + 1, bytes: 0, pieces: 0,
      row: make('tr'),
    }
    this.sources.set(peer, source)
    this.rows.append(source.row)
    return source
  }

  private add(peer: string, count: number): void {
    const source = this.source(peer)
    source.bytes += count
    source.pieces += 1
    const swatch = make('span', { class: 'swatch', 'aria-hidden': 'true' })
    swatch.style.background = this.colour(peer)
    source.row.replaceChildren(
      make('th', { scope: 'row', title: peer }, swatch, ` ${source.name}`),
      make('td', { class: 'right' }, number(source.pieces)),
      make('td', { class: 'right' }, bytes(source.bytes)))
    this.weave(this.colour(peer), count)
    const said = [...this.sources.values()]
      .map(({ name, bytes: sum, pieces }) => `${pieces} pieces, ${bytes(sum)}, from ${name}`)
    this.drawing.setAttribute('aria-label', `Pieces so far: ${said.join('; ')}.`)
    this.empty.hidden = true
    this.dispatchEvent(new CustomEvent('woven'))
  }

  /** Adds the cells of a piece, under and over by turns as threads are. */
  private weave(colour: string, count: number): void {
    const wanted = Math.max(1, Math.round(count / CELL))
    for (let index = 0; index < wanted && this.cells < MOST; index++, this.cells++) {
      const [column, row] = [this.cells % COLUMNS, Math.floor(this.cells / COLUMNS)]
      const isOver = (column + row) % 2 === 0
      const cell = draw('rect', {
        x: column * 10 + (isOver ? 0 : 1.5), y: row * 10 + (isOver ? 1.5 : 0),
        width: isOver ? 10 : 7, height: isOver ? 7 : 10, rx: 1.5, class: 'arrives',
      })
      cell.style.fill = colour
      this.drawing.append(cell)
    }
    const rows = Math.max(1, Math.ceil(this.cells / COLUMNS))
    this.drawing.setAttribute('viewBox', `0 0 ${COLUMNS * 10} ${rows * 10}`)
  }
}

customElements.define('weft-cloth', Cloth)

declare global {
  interface HTMLElementTagNameMap { 'weft-cloth': Cloth }
}
