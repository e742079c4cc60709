// The dashboard of a node's owner.

import './chart.js'
import './map.js'
import { byId, bytes, make, number, rate, short, span } from '../shared/dom.js'
import type { BalanceLine, Ceiling, Diagnosis, Limits, Peer, Setting } from './answers.js'
import { ask, askLines, enter, Locked } from './api.js'
import { showBalances } from './balances.js'
import { LIMITS, LimitSetting, Spec, STORE } from './settings.js'

/** How often the node is looked at, and how often balances are, in milliseconds. */
const PAUSE = 1000
const BALANCE_PAUSE = 5000

let peers: Peer[] = []
let chosen: string | undefined
let ceilings: readonly Ceiling[] = []
const settings = new Map<string, LimitSetting>()
const map = byId<HTMLElementTagNameMap['peer-map']>('map')
const chart = byId<HTMLElementTagNameMap['rate-chart']>('chart')

function state(message: string, kind: '' | 'good' | 'bad'): void {
  const place = byId('state')
  place.className = `end small ${kind}`
  // A live region says what is new, and only that.
  if (place.textContent !== message) place.textContent = message
}

function lock(why: string): void {
  byId('open').hidden = true
  byId('locked').hidden = false
  byId('locked-why').textContent = why === '' ? '' : `(${why})`
  state('No key', 'bad')
}

// Peers.

function milliseconds({ roundTripNanoseconds: time }: Peer): string {
  return time === undefined ? '–' : `${(time / 1e6).toFixed(time < 1e7 ? 1 : 0)} ms`
}

function showPeers(): void {
  map.show(peers, chosen)
  const wanted = byId<HTMLInputElement>('filter').value.trim().toLowerCase()
  const shown = peers.filter(({ peer, agent, connections }) =>
    [peer, agent, ...connections.map(({ address }) => address)].some(
      text => text.toLowerCase().includes(wanted)))
  byId('peers-caption').textContent = peers.length === 0 ? 'Nobody is connected.'
    : `${number(shown.length)} of ${number(peers.length)} peers, the nearest first. Choose one to see more.`
  const names = new Set(shown.slice(0, MOST_ROWS).map(({ peer }) => peer))
  for (const [peer, row] of rows) {
    if (names.has(peer)) continue
    row.element.remove()
    rows.delete(peer)
  }
  // Rows stay what they are, so that focus, selection and clicks do; only what has changed is touched.
  let previous: Element | null = null
  for (const peer of shown.slice(0, MOST_ROWS)) {
    const row = rows.get(peer.peer) ?? addRow(peer.peer)
    const texts = [peer.agent || '–', milliseconds(peer), bytes(peer.receivedBytes), bytes(peer.sentBytes)]
    texts.forEach((text, index) => {
      if (row.cells[index]!.textContent !== text) row.cells[index]!.textContent = text
    })
    const isChosen = peer.peer === chosen
    row.element.className = isChosen ? 'chosen' : ''
    row.button.setAttribute('aria-pressed', `${isChosen}`)
    const place: Element | null = previous === null ? byId('peer-rows').firstElementChild : previous.nextElementSibling
    const isFocused = document.activeElement === row.button
    if (place !== row.element && !isFocused) byId('peer-rows').insertBefore(row.element, place)
    previous = row.element
  }
  showChosen()
}

interface Row {
  readonly element: HTMLTableRowElement
  readonly button: HTMLButtonElement
  readonly cells: readonly HTMLTableCellElement[]
}

/** How many peers are listed, and their rows. */
const MOST_ROWS = 200
const rows = new Map<string, Row>()

function addRow(peer: string): Row {
  const button = make('button', { title: peer }, short(peer))
  button.addEventListener('click', () => choose(peer))
  const cells = ['', 'right', 'right', 'right'].map(name => make('td', { class: name === '' ? undefined : name }))
  const row = { element: make('tr', {}, make('td', {}, button), ...cells), button, cells }
  rows.set(peer, row)
  return row
}

function choose(peer: string): void {
  chosen = chosen === peer ? undefined : peer
  byId('peer').replaceChildren()
  showPeers()
}

/** What is known of the peer that was chosen; it is written anew only if it has changed. */
function showChosen(): void {
  const found = peers.find(entry => entry.peer === chosen)
  if (found === undefined) return byId('peer').replaceChildren()
  const details = make('div', {},
    make('h3', { class: 'mono' }, found.peer),
    make('dl', { class: 'facts' },
      make('dt', {}, 'Program'), make('dd', {}, found.agent || 'does not say'),
      ...found.connections.flatMap(({ address, direction, ageSeconds, streams }) => [
        make('dt', {}, direction === 'inbound' ? 'It connected' : 'This node connected'),
        make('dd', {}, make('code', {}, address), ` ${span(ageSeconds)} ago, ${streams} streams`),
      ]),
      make('dt', {}, 'Speaks'), make('dd', { class: 'small' }, found.protocols.join(', ') || 'does not say')))
  if (byId('peer').firstElementChild?.isEqualNode(details) !== true) byId('peer').replaceChildren(details)
}

map.addEventListener('choose', event => choose((event as CustomEvent<string>).detail))
byId('filter').addEventListener('input', showPeers)

// Figures.

function showFigures(limits: Limits): void {
  const { received, sent, protocols } = limits.bandwidth
  const { usedBytes, maxBytes } = limits.store
  byId('tile-peers').textContent = number(limits.peers ?? peers.length)
  byId('tile-in').textContent = rate(received.bytesPerSecond)
  byId('tile-out').textContent = rate(sent.bytesPerSecond)
  byId('tile-store').replaceChildren(bytes(usedBytes), make('small', {}, ` of ${bytes(maxBytes)}`))
  chart.add(received.bytesPerSecond, sent.bytesPerSecond)
  const busiest = [...protocols].sort((left, right) =>
    right.receivedBytes + right.sentBytes - left.receivedBytes - left.sentBytes)
  byId('protocols').replaceChildren(
    make('tr', {}, make('th', { scope: 'row' }, 'all'),
      make('td', { class: 'right' }, bytes(received.bytes)), make('td', { class: 'right' }, bytes(sent.bytes))),
    ...busiest.slice(0, 12).map(entry => make('tr', {},
      make('td', { class: 'mono' }, entry.protocol),
      make('td', { class: 'right' }, bytes(entry.receivedBytes)),
      make('td', { class: 'right' }, bytes(entry.sentBytes)))))
  const part = maxBytes > 0 ? usedBytes / maxBytes * 100 : 0
  const fill = make('i', { class: part > 90 ? 'full' : undefined })
  fill.style.width = `${part}%`
  byId('fill').replaceChildren(
    make('div', {
      class: 'meter', role: 'meter', 'aria-label': 'Store', 'aria-valuemin': 0, 'aria-valuemax': 100,
      'aria-valuenow': part.toFixed(1), 'aria-valuetext': `${bytes(usedBytes)} of ${bytes(maxBytes)}`,
    }, fill),
    make('p', { class: 'soft small' }, `${bytes(usedBytes)} of ${bytes(maxBytes)} are used, ${part.toFixed(1)} %.`))
  ceilings = limits.limits ?? []
  byId('gauges').replaceChildren(...ceilings.filter(({ count }) => count !== undefined).map(
    ({ name, key, count, limit, heldBack }) => make('tr', {},
      make('th', { scope: 'row' }, name),
      ...[count!, limit, heldBack ?? 0].map((value, index) => make('td', { class: 'right' },
        key.endsWith('memory') && index < 2 ? bytes(value) : number(value))))))
}

// Settings.

function said(message: string, isBad = false): void {
  byId('said').className = isBad ? 'said bad' : 'said'
  byId('said').textContent = message
}

function showSetting(setting: Setting): void {
  const inForce = ceilings.find(({ key }) => key === setting.key)?.limit
  const { value } = setting
  if (typeof value === 'object') return
  settings.get(setting.key)?.show(value, inForce)
}

/** What is to be written, the newest value of each, and whether something is being written. */
const waiting = new Map<Spec, string>()
let isWriting = false

/** Writes a setting. One is written after the other, so that the last value that was chosen stays. */
async function change(spec: Spec, value: string): Promise<void> {
  waiting.set(spec, value)
  if (isWriting) return
  isWriting = true
  try {
    for (const [next] of waiting) {
      const newest = waiting.get(next)!
      waiting.delete(next)
      await write(next, newest)
    }
  } finally {
    isWriting = false
  }
}

async function write(spec: Spec, value: string): Promise<void> {
  try {
    const setting = await ask<Setting>('/weft/v1/config', { key: spec.key, value })
    // A profile, and what rests on it, has other numbers now.
    ceilings = (await ask<Limits>('/weft/v1/limits')).limits ?? []
    if (waiting.has(spec)) return
    showSetting(setting)
    if (spec.key === 'mesh.profile') await readSettings()
    said(`${spec.label}: ${setting.value}${setting.restart ? ', from when the node starts again' : ', from now on'}.`)
  } catch (error) {
    if (error instanceof Locked) return lock(error.message)
    said(`${spec.label}: ${(error as Error).message}`, true)
    // What the node has is shown; if it does not answer, nothing is known.
    await ask<Setting>('/weft/v1/config', { key: spec.key }).then(showSetting, () => {})
  }
}

function add(place: HTMLElement, specs: readonly Spec[]): void {
  for (const spec of specs) {
    const setting = make('limit-setting').build(spec)
    setting.addEventListener('set', event => void change(spec, (event as CustomEvent<string>).detail))
    settings.set(spec.key, setting)
    place.append(setting)
  }
}

async function readSettings(): Promise<void> {
  const all = [...settings.keys()].map(key => ask<Setting>('/weft/v1/config', { key }))
  for (const setting of await Promise.all(all)) showSetting(setting)
}

// The doctor.

const VERDICTS = { good: 'Good', note: 'Note', problem: 'Problem' }

byId('examine').addEventListener('click', async () => {
  const button = byId<HTMLButtonElement>('examine')
  button.disabled = true
  byId('verdict').textContent = 'Examining…'
  try {
    const { well, findings } = await ask<Diagnosis>('/weft/v1/doctor')
    byId('verdict').textContent = well ? 'All is well.' : 'Something does not work.'
    const rank = { problem: 0, note: 1, good: 2 }
    byId('findings').replaceChildren(
      ...[...findings].sort((left, right) => rank[left.verdict] - rank[right.verdict]).map(
        ({ subject, verdict, summary, details, advice }) => make('li', { class: verdict },
          make('span', { class: 'verdict' }, VERDICTS[verdict]), ' ', make('strong', {}, `${subject}: `), summary,
          details.length === 0 ? undefined
            : make('ul', {}, ...details.map(detail => make('li', {}, detail))),
          advice ? make('p', {}, `→ ${advice}`) : undefined)))
  } catch (error) {
    if (error instanceof Locked) return lock(error.message)
    byId('verdict').textContent = `It could not be examined: ${(error as Error).message}`
  } finally {
    button.disabled = false
  }
})

// Looking at the node again and again, while somebody looks at the page.

async function look(): Promise<void> {
  const [limits, answer] = await Promise.all([
    ask<Limits>('/weft/v1/limits'), ask<{ peers: Peer[] }>('/weft/v1/peers'),
  ])
  peers = answer.peers.sort(
    (left, right) => (left.roundTripNanoseconds ?? Infinity) - (right.roundTripNanoseconds ?? Infinity))
  showPeers()
  showFigures(limits)
  state(`Connected with ${short(limits.peer)}`, 'good')
}

const wait = (milliseconds: number): Promise<void> =>
  new Promise(resolve => setTimeout(resolve, milliseconds))

async function watch(): Promise<void> {
  let balancesAt = -Infinity
  let balances = ''
  for (;;) {
    if (document.hidden) {
      await new Promise(resolve => document.addEventListener('visibilitychange', resolve, { once: true }))
    }
    try {
      await look()
      if (performance.now() - balancesAt > BALANCE_PAUSE) {
        balancesAt = performance.now()
        const lines = await askLines<BalanceLine>('/weft/v1/balance')
        // What has not changed stays, with the focus in it.
        const text = JSON.stringify(lines)
        if (text !== balances) showBalances(byId('accounts'), lines)
        balances = text
      }
    } catch (error) {
      if (error instanceof Locked) return lock(error.message)
      state('The node does not answer', 'bad')
    }
    await wait(PAUSE)
  }
}

async function start(): Promise<void> {
  add(byId('store-settings'), STORE)
  for (const [title, specs] of LIMITS) {
    byId('limit-settings').append(make('h3', {}, title))
    add(byId('limit-settings'), specs)
  }
  try {
    await enter()
    await look()
    byId('open').hidden = false
    await readSettings()
  } catch (error) {
    if (error instanceof Locked) return lock(error.message)
    throw error
  }
  await watch()
}

start().catch(error => state((error as Error).message, 'bad'))
