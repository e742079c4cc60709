// Calls of contracts: through the node's gateway, as any page may, or by this page itself.

import '/weft-status.js'
import { Weft } from '/weft.js'
import type { MeshOptions, WeftError } from '/weft.js'
import { bytes, byId, make, number, short } from '../../shared/dom.js'
import { fragment, nodeFacts, startPeer } from '../../shared/peer.js'
import { showTree } from './tree.js'

/** How much of an answer is shown, in characters. */
const SHOWN = 20_000
/** How many earlier calls are listed. */
const PAST = 50
/** Why a page that gives nothing finds few who agree. */
const MEETS_NOBODY = 'This page meets those of other visitors, which may run contracts, too, only while it'
  + ' gives them what it has loaded: the switch for that is at the top.'

/** What is to be called, as the form says. */
interface Call {
  readonly contract: string
  readonly path: string
  readonly method: string
  readonly body: string | undefined
  readonly audit: string
  readonly gas: string
  readonly price: string
  /** Whom this page asks: the node's gateway, itself and peers, or peers alone. */
  readonly where: 'node' | 'page' | 'peers'
}

let weft: Weft | undefined
/** How that peer was started: whether contracts run here for the page, and for others. */
let started = { run: true, serve: false }
let nodePeer: string | undefined
let abort: AbortController | undefined

const field = (id: string): string =>
  byId<HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement>(id).value.trim()

function call(): Call {
  const method = field('method')
  const body = byId<HTMLTextAreaElement>('body').value
  return {
    contract: field('contract').replace(/^weft:\/\//, ''), path: field('path').replace(/^\/+/, ''),
    method, body: method === 'GET' || body === '' ? undefined : body, audit: field('audit'),
    gas: field('gas'), price: field('price'), where: field('where') as Call['where'],
  }
}

function headers({ audit, gas, price, where }: Call): Record<string, string> {
  const fields: Record<string, string> = {}
  if (gas !== '') fields['Weft-Gas'] = gas
  if (where !== 'node') return fields
  if (audit !== 'sample') fields['Weft-Audit'] = audit
  if (price !== '') fields['Weft-Max-Price'] = price
  return fields
}

/** The same call as a line of shell. */
function shell(asked: Call): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
  const parts = ['curl -i']
  if (asked.method !== 'GET') parts.push(`-X ${asked.method}`)
  for (const [name, value] of Object.entries(headers({ ...asked, where: 'node' }))) {
    parts.push(`-H ${quoted(`${name}: ${value}`)}`)
  }
  if (asked.body !== undefined) parts.push(`--data-raw ${quoted(asked.body)}`)
  parts.push(quoted(`${location.origin}/weft/${asked.contract || 'CID'}/${asked.path}`))
  return parts.join(' ')
}

/** What is done with the page's peer, one thing after the other: there is one in a page. */
let turn: Promise<unknown> = Promise.resolve()

/** The page's peer, which runs contracts for the page, and for others, or does not. */
function peer(wanted: Partial<typeof started> = {}): Promise<Weft> {
  const next = turn.then(() => startedAs({ ...started, ...wanted }))
  turn = next.catch(() => {})
  return next
}

async function startedAs(wanted: typeof started): Promise<Weft> {
  if (weft !== undefined && wanted.run === started.run && wanted.serve === started.serve) return weft
  weft = undefined
  await Weft.stop()
  const starting = await startPeer({ contracts: wanted })
  weft = starting
  started = wanted
  byId<HTMLElementTagNameMap['weft-status']>('status').weft = starting
  starting.addEventListener('liar', ({ detail }) => {
    byId('liar').hidden = false
    byId('liar').textContent = `Peer ${detail.peer} has lied: what it signed is not what the contract`
      + ' answers. It is proven, and it is not asked any more.'
  })
  starting.addEventListener('served', ({ detail }) => showServed(starting, detail))
  return starting
}

function showServed(
  peer: Weft, { url, peer: asker, gas, outcome }: { url: string; peer: string; gas: number; outcome: string },
): void {
  const { served, gasServed } = peer.status.calls
  const calls = served === 1 ? '1 call was' : `${number(served)} calls were`
  byId('served').textContent = `${calls} run here for others, for ${number(gasServed)} gas;`
    + ` the last one, ${url.replace(/^weft:\/\/[^/]+/, '')}, for ${short(asker)}: ${outcome}, ${number(gas)} gas.`
}

async function send(asked: Call, signal: AbortSignal): Promise<Response> {
  const { contract, path, method, body } = asked
  const init = { method, headers: headers(asked), body, signal }
  if (asked.where === 'node') return fetch(`/weft/${contract}/${path}`, init)
  const mesh: MeshOptions = { audit: asked.audit as MeshOptions['audit'] }
  if (asked.price !== '') mesh.maxPrice = Number(asked.price)
  const own = await peer({ run: asked.where === 'page' })
  return own.fetch(`weft://${contract}/${path}`, { ...init, mesh })
}

/** What a peer is called here. */
function named(responder: string | null): string {
  if (responder === null) return 'nobody'
  return responder === nodePeer ? `this node (${short(responder)})` : `peer ${short(responder)}`
}

async function body(response: Response): Promise<Node> {
  const type = response.headers.get('content-type') ?? ''
  const blob = await response.blob()
  if (blob.size === 0) return make('p', { class: 'soft' }, 'The body is empty.')
  const kind = /^image\/(png|jpeg|gif|webp)(?=$|;)/.exec(type)?.[0]
  if (kind !== undefined) {
    const picture = blob.slice(0, blob.size, kind)
    return make('img', { src: URL.createObjectURL(picture), alt: 'The picture that the contract answered' })
  }
  const text = await blob.slice(0, SHOWN * 4).text()
  // What is no text would be a mess of signs.
  if (/[\0-\x08\x0e-\x1f]/.test(text.slice(0, 1000))) {
    return make('p', { class: 'soft' }, `${bytes(blob.size)} that are no text`)
  }
  const cut = text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text
  return make('pre', { tabindex: 0, 'aria-label': 'Body of the answer' }, cut)
}

function fact(list: HTMLElement, name: string, value: string | null | Node): void {
  if (value === null || value === '') return
  list.append(make('dt', {}, name), make('dd', {}, value))
}

async function show(asked: Call, response: Response, milliseconds: number): Promise<void> {
  const get = (name: string): string | null => response.headers.get(name)
  const isGood = response.ok
  const facts = make('dl', { class: 'facts' })
  const responder = get('weft-responder')
  const self = asked.where === 'node' ? 'this node' : 'this page'
  fact(facts, 'Answered by', responder === 'self' ? self : named(responder))
  fact(facts, 'Gas', get('weft-gas') === null ? null : number(Number(get('weft-gas'))))
  fact(facts, 'Cost', get('weft-cost') === null ? null : `${number(Number(get('weft-cost')))} credits`)
  fact(facts, 'Confidence', get('weft-confidence'))
  fact(facts, 'Outcome', get('weft-outcome'))
  fact(facts, 'Time', `${milliseconds.toFixed(1)} ms`)
  fact(facts, 'Type', get('content-type'))
  const record = get('weft-record')
  if (record !== null) fact(facts, 'Record', make('code', {}, record))
  const state = make('p', {},
    make('span', { class: `status ${isGood ? 'good' : 'bad'}` }, `${response.status} ${response.statusText}`))
  const { mesh } = response as Response & { mesh?: { trace: readonly string[] } }
  byId('outcome').replaceChildren(state, facts, await body(response), trace(mesh?.trace ?? []))
  remember(asked, response, milliseconds, responder === 'self' ? self : named(responder))
  byId('tree').hidden = record === null
  if (record !== null) void tree(record)
}

/** Why there is no answer, and who was asked. */
function showFailure(asked: Call, error: Error): void {
  const { name, message } = error
  const cause = error.cause as Partial<WeftError> | undefined
  const isStopped = name === 'AbortError'
  byId('outcome').replaceChildren(
    make('p', { class: isStopped ? 'soft' : 'notice bad' }, isStopped ? 'Stopped.' : cause?.what ?? message),
    asked.where === 'peers' && asked.audit.startsWith('quorum') && weft?.serve === false
      ? make('p', { class: 'soft' }, MEETS_NOBODY) : '',
    trace(cause?.trace ?? []))
}

/** The answer is there, whatever becomes of its records. */
async function tree(record: string): Promise<void> {
  try {
    await showTree(byId('calls'), await peer(), record)
  } catch (error) {
    byId('calls').textContent = `The records cannot be shown: ${(error as Error).message}`
  }
}

/** Who was asked, and what came of it. */
function trace(steps: readonly string[]): Node | string {
  if (steps.length === 0) return ''
  return make('div', {}, make('h3', {}, 'Who was asked'),
    make('ol', { class: 'small' }, ...steps.map(step => make('li', {}, step))))
}

function remember(asked: Call, response: Response, milliseconds: number, by: string): void {
  byId('history').hidden = false
  const again = make('button', { class: 'quiet', type: 'button' }, asked.path || '/')
  again.addEventListener('click', () => {
    byId<HTMLInputElement>('contract').value = asked.contract
    byId<HTMLInputElement>('path').value = asked.path
    byId<HTMLSelectElement>('method').value = asked.method
    byId<HTMLTextAreaElement>('body').value = asked.body ?? ''
    changed()
    byId('contract').focus()
  })
  const gas = response.headers.get('weft-gas')
  byId('past').prepend(make('tr', {},
    make('td', {}, again), make('td', {}, by), make('td', { class: 'right' }, `${response.status}`),
    make('td', { class: 'right' }, gas === null ? '–' : number(Number(gas))),
    make('td', { class: 'right' }, `${milliseconds.toFixed(1)} ms`)))
  while (byId('past').children.length > PAST) byId('past').lastElementChild?.remove()
}

function changed(): void {
  byId('shell').textContent = shell(call())
}

function busy(isBusy: boolean, message: string): void {
  byId<HTMLButtonElement>('send').disabled = isBusy
  byId('abort').hidden = !isBusy
  byId('progress').textContent = message
}

byId('form').addEventListener('input', changed)
byId('abort').addEventListener('click', () => abort?.abort())
byId('form').addEventListener('submit', async event => {
  event.preventDefault()
  const asked = call()
  abort = new AbortController()
  busy(true, 'Waiting for the answer…')
  byId('nothing').hidden = byId('tree').hidden = true
  byId('outcome').replaceChildren()
  const start = performance.now()
  try {
    const response = await send(asked, abort.signal)
    await show(asked, response, performance.now() - start)
    busy(false, `Answered with status ${response.status}.`)
    history.replaceState(null, '', `#${encodeURIComponent(`${asked.contract}/${asked.path}`)}`)
  } catch (error) {
    showFailure(asked, error as Error)
    busy(false, 'There is no answer.')
  }
})

// The address may name a call.
const [contract = '', ...path] = fragment().split('/')
if (contract !== '') byId<HTMLInputElement>('contract').value = contract
if (path.length > 0) byId<HTMLInputElement>('path').value = path.join('/')
changed()
void nodeFacts().then(facts => { nodePeer = facts?.peer })
const serving = byId<HTMLInputElement>('serving')
serving.addEventListener('change', async () => {
  serving.disabled = true
  let said = serving.checked ? 'Nobody has asked this page yet.' : ''
  try {
    const own = await peer({ serve: serving.checked })
    // Who has once turned the switch of the page off turns it on by this.
    if (serving.checked) own.serve = true
  } catch (error) {
    said = `That did not work: ${(error as Error).message}`
  }
  // What holds is shown, whatever was wanted.
  serving.checked = weft !== undefined && started.serve && weft.serve
  serving.disabled = false
  byId('served').textContent = said
})
await peer()
