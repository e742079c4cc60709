// The page as a peer of the node that serves it.

import { Weft } from '/weft.js'
import type { StartOptions } from '/weft.js'

/** What the node says about itself. */
export interface NodeFacts {
  readonly peer: string
  readonly agent: string
  /** Where pages reach it, the nearest first. */
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

/** Where the node was last, so that a page finds other visitors when the node is stopped. */
const REMEMBERED = 'weft-node'

/** Starts the page's peer, connected with the node by its nearest address. */
export async function startPeer(options: StartOptions = {}): Promise<Weft> {
  const facts = await nodeFacts()
  const address = facts?.addresses[0] ?? localStorage.getItem(REMEMBERED) ?? undefined
  if (facts?.addresses[0] !== undefined) localStorage.setItem(REMEMBERED, facts.addresses[0])
  return Weft.start({ peers: address === undefined ? [] : [address], ...options })
}

/** The CID that the page's URL names behind its `#`, and the path below it. */
export function contentOfPage(): string | undefined {
  const named = decodeURIComponent(location.hash.slice(1))
  const path = named.replace(/^(ipfs:\/\/|\/ipfs\/)/, '').replace(/\/+$/, '')
  return /^[a-zA-Z0-9]+(\/.*)?$/.test(path) ? path : undefined
}
