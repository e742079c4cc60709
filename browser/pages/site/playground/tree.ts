// The tree of a call: its record and those of what it called. Records are content, so they come from
// whoever has them, as all content does.

import type { CallRecord, Weft } from '/weft.js'
import { make, number, short } from '../../shared/dom.js'

/** How many records are fetched for one tree, and how deep it is followed. */
const MOST = 200
const DEEPEST = 64

/** What a record says of its call, short: the contract, the method and its arguments. */
function named(url: string): string {
  const parts = /^weft:\/\/([^/]+)\/?(.*)$/.exec(url)
  return parts === null ? url : `${short(parts[1]!)}/${parts[2]!}`
}

function facts(record: CallRecord): string {
  const status = record.status === undefined ? '' : ` ${record.status}`
  const own = record.ownGas === record.gas ? '' : `, ${number(record.ownGas)} of it its own`
  const reads = record.reads.length === 0 ? '' : ` · read ${record.reads.length} pieces of content`
  return `${record.outcome.replaceAll('-', ' ')}${status} · ${number(record.gas)} gas${own}${reads}`
}

/** A call and those below it. */
async function branch(
  weft: Weft, cid: string, whole: number | undefined, depth: number, budget: { left: number },
): Promise<HTMLElement> {
  const item = make('li')
  if (budget.left-- <= 0 || depth > DEEPEST) {
    item.append(make('span', { class: 'soft' }, 'more, which is not shown'))
    return item
  }
  let record: CallRecord
  try {
    record = await weft.callRecord(cid)
  } catch (error) {
    item.append(make('code', {}, short(cid)), `: its record cannot be had (${(error as Error).message})`)
    return item
  }
  const total = whole ?? record.gas
  const fill = make('i')
  fill.style.width = `${total > 0 ? record.gas / total * 100 : 0}%`
  item.append(
    make('code', { title: cid }, named(record.url)), ' ',
    make('span', { class: 'soft small' }, facts(record)),
    make('span', { class: 'share', 'aria-hidden': 'true' }, fill))
  if (record.children.length > 0) {
    const list = make('ul')
    item.append(list)
    for (const child of record.children) {
      list.append(await branch(weft, child, total, depth + 1, budget))
      if (budget.left <= 0) break
    }
  }
  return item
}

/** Shows the tree below a record in an element. */
export async function showTree(place: HTMLElement, weft: Weft, record: string): Promise<void> {
  place.replaceChildren(make('p', { class: 'soft', role: 'status' }, 'The records are being fetched…'))
  const list = make('ul')
  list.append(await branch(weft, record, undefined, 0, { left: MOST }))
  place.replaceChildren(list)
}
