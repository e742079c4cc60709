// The page as a peer of the node that serves it.

import { Weft } from '/weft.js'
import type { StartOptions } from '/weft.js'
import { short } from './dom.js'

/** What the node says about itself. */
export interface NodeFacts {
  readonly peer: string
  readonly agent: string
  /** Where pages of this machine reach it. */
  readonly addresses: readonly string[]
  /** Whether it calls contracts. */
  readonly contracts: boolean
}

/** Asks the node that serves this page; undefined when it has been stopped. */
export async function nodeFacts(): Promise<NodeFacts | undefined> {
  try {
    const response = await fetch('/node.json')
    return response.ok ? await response.json() as NodeFacts : undefined
  } catch {
    return undefined
  }
}

/** How good a way to the node is; the smaller the better. Certificates are for other names. */
const rank = (address: string): number =>
  /\/tcp\/\d+\/ws\//.test(address) ? 0 : address.includes('/webrtc-direct/') ? 1 : 2

/** Starts the page's peer, connected with the node. */
export async function startPeer(options: StartOptions = {}): Promise<Weft> {
  const addresses = [...(await nodeFacts())?.addresses ?? []].sort(
    (left, right) => rank(left) - rank(right))
  return Weft.start({ peers: addresses.slice(0, 1), ...options })
}

/** What a peer is called: the node, another visitor's page, or some other node. */
export function nameOf(weft: Weft, node: string | undefined, peer: string): string {
  if (peer === node) return 'this node'
  const isPage = weft.status.peers.find(entry => entry.peer === peer)?.kind === 'page'
  return `${isPage ? 'visitor' : 'peer'} ${short(peer)}`
}

/** What stands behind the `#` of the page's URL; nothing if it is not percent-encoded UTF-8. */
export function fragment(): string {
  try {
    return decodeURIComponent(location.hash.slice(1))
  } catch {
    return ''
  }
}

/** The CID that the page's URL names behind its `#`, and the path below it. */
export function contentOfPage(): string | undefined {
  const path = fragment().replace(/^(ipfs:\/\/|\/ipfs\/)/, '').replace(/\/+$/, '')
  return /^[a-zA-Z0-9]+(\/.*)?$/.test(path) ? path : undefined
}
