// The first page: what this node is, and the ways from here.

import '/weft-status.js'
import { byId, make } from '../shared/dom.js'
import { nodeFacts, startPeer } from '../shared/peer.js'

/** Where a name leads: content gets an origin of its own. */
function destination(named: string): string | undefined {
  const parts = /^(?:(?:\/?|dweb:)?(ipfs|ipns)(?::\/\/|\/))?([^/?#]+)([^]*)$/.exec(named.trim())
  if (parts === null) return undefined
  const [, namespace = 'ipfs', root, rest] = parts
  if (!/^[a-zA-Z0-9._-]+$/.test(root!)) return undefined
  // The gateway turns it into an address of the root's own.
  return `/${namespace}/${root}${rest}`
}

const field = byId<HTMLInputElement>('named')
byId('open').addEventListener('submit', event => {
  event.preventDefault()
  const url = destination(field.value)
  byId('named-fault').textContent =
    url === undefined ? 'That is neither a CID nor such a URL.' : ''
  if (url !== undefined) location.assign(url)
})

byId('copy').addEventListener('click', () => {
  void navigator.clipboard.writeText('weft dashboard').then(
    () => { byId('copied').textContent = 'Copied. Open the address that it prints.' },
    () => { byId('copied').textContent = 'The browser does not let it be copied.' })
})

async function showFacts(): Promise<void> {
  const facts = await nodeFacts()
  if (facts === undefined) {
    return byId('facts').replaceChildren(make('dt', {}, 'Node'), make('dd', {}, 'does not answer'))
  }
  byId('facts').replaceChildren(
    make('dt', {}, 'Name'), make('dd', { class: 'mono' }, facts.peer),
    make('dt', {}, 'Program'), make('dd', {}, facts.agent),
    make('dt', {}, 'Contracts'), make('dd', {}, facts.contracts ? 'are called' : 'are off'),
    make('dt', {}, 'For pages'),
    make('dd', { class: 'mono' }, facts.addresses[0] ?? 'does not listen for pages'))
}

// What is shown may be named in the URL, so that one address leads to all of it.
const shown = new URLSearchParams(location.hash.slice(1))
for (const [page, name] of [['gallery', 'gallery'], ['video', 'video'], ['playground', 'contract']]) {
  const cid = shown.get(name!)
  if (cid !== null) byId<HTMLAnchorElement>(`to-${page}`).href = `/${page}/#${cid}`
}

void showFacts()
byId<HTMLElementTagNameMap['weft-status']>('status').weft = await startPeer()
