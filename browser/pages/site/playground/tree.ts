// The tree of a call: its record and those of what it called. Records are content, so they are
// fetched by their hashes.

import { make, number, short } from '../../shared/dom.js'
import { decode, Link } from './cbor.js'

/** How many records are fetched for one tree, and how deep it is followed. */
const MOST = 200
const DEEPEST = 64
/** The outcomes, as records number them. */
const OUTCOMES = ['ok', 'out of gas', 'stack exhausted', 'trap', 'limit']

interface RecordOfCall {
  readonly gas: number
  readonly own: number
  readonly outcome: number
  readonly children: readonly Link[]
  readonly reads: readonly Link[]
  readonly output: { readonly status: number } | null
  readonly call: { readonly path?: unknown; readonly query?: unknown; readonly contract?: Link }
}

async function fetchRecord(cid: string): Promise<RecordOfCall> {
  const response = await fetch(`/ipfs/${cid}?format=raw`)
  if (!response.ok) throw new TypeError(`its record cannot be had (${response.status})`)
  return decode(new Uint8Array(await response.arrayBuffer())) as unknown as RecordOfCall
}

/** A call and those below it. */
async function branch(
  cid: string, whole: number | undefined, depth: number, budget: { left: number },
): Promise<HTMLElement> {
  const item = make('li')
  if (budget.left-- <= 0 || depth > DEEPEST) {
    item.append(make('span', { class: 'soft' }, 'more, which is not shown'))
    return item
  }
  let record: RecordOfCall
  try {
    record = await fetchRecord(cid)
  } catch (error) {
    item.append(make('code', {}, short(cid)), `: ${(error as Error).message}`)
    return item
  }
  const total = whole ?? record.gas
  const path = typeof record.call.path === 'string' ? record.call.path.replace(/^\/+/, '') : ''
  const query = typeof record.call.query === 'string' && record.call.query !== '' ? `?${record.call.query}` : ''
  const outcome = OUTCOMES[record.outcome] ?? `outcome ${record.outcome}`
  const contract = record.call.contract?.cid
  const fill = make('i')
  fill.style.width = `${total > 0 ? record.gas / total * 100 : 0}%`
  item.append(
    make('code', { title: cid }, `${contract === undefined ? '' : short(contract)}/${path}${query}`), ' ',
    make('span', { class: 'soft small' },
      `${outcome}${record.output === null ? '' : ` ${record.output.status}`} · ${number(record.gas)} gas`
      + (record.own === record.gas ? '' : `, ${number(record.own)} of it its own`)
      + (record.reads.length === 0 ? '' : ` · read ${record.reads.length} blocks or files`)),
    make('span', { class: 'share', 'aria-hidden': 'true' }, fill))
  if (record.children.length > 0) {
    const list = make('ul')
    item.append(list)
    for (const child of record.children) {
      list.append(await branch(child.cid, total, depth + 1, budget))
      if (budget.left <= 0) break
    }
  }
  return item
}

/** Shows the tree below a record in an element. */
export async function showTree(place: HTMLElement, record: string): Promise<void> {
  place.replaceChildren(make('p', { class: 'soft', role: 'status' }, 'The records are being fetched…'))
  const list = make('ul')
  list.append(await branch(record, undefined, 0, { left: MOST }))
  place.replaceChildren(list)
}
