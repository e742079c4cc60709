// How a page takes part in the mesh, and what it is told of that.

import type { ConnectedPeer } from './channels.js'
import type { ContractOptions } from './contracts.js'
import { place, furtherOf } from './place.js'
import { compile, type ModuleSource } from './pieces.js'
import type { PeerTraffic } from './traffic.js'
import { LONGEST_WAIT } from './turns.js'

/** How a page takes part in the mesh. */
export interface StartOptions {
  /**
   * The peers to be connected with, eight at the most: addresses of WebSockets and of WebRTC
   * listeners, such as `/ip4/127.0.0.1/tcp/4002/ws/p2p/12D3…`.
   */
  peers?: readonly string[]
  /**
   * Trustless gateways, such as `https://example.org`, eight at the most: they are asked for what no peer
   * brings, and know then what the page reads. What they send is checked like what peers send.
   */
  gateways?: readonly (string | URL)[]
  /** What is kept. */
  storage?: {
    /** How many bytes of blocks are kept in memory at the most; 64 MiB if not said. */
    memory?: number
    /**
     * How many bytes of blocks are kept on disk at the most, across visits; 0 for none. A tenth of what
     * the browser grants the site, and 2 GiB, are not exceeded.
     */
    disk?: number
  }
  /**
   * Whether peers are given what is kept, other visitors' pages among them, which then are also
   * fetched from. The page does not unless it is told to, and meets no other page.
   */
  serve?: boolean
  /**
   * `shared`: one tab of the site has the connections, and the others fetch through it. When it is
   * closed another has them, and goes on with what was under way. If not said each tab has its own.
   */
  tabs?: 'own' | 'shared'
  /** How long a peer may take to answer when it is dialled, in milliseconds; 10,000. */
  dialTimeout?: number
  /** How long is waited while nothing comes, in milliseconds; 30,000. */
  patience?: number
  /**
   * The URL of `weft-sw.js` on the page's own site: the service worker that has what pages name by
   * `/ipfs/CID/path` come from the mesh. None is installed if it is not said.
   */
  serviceWorker?: string | URL
  /** How contracts are run, here and for others. What that takes is loaded when it is needed. */
  contracts?: ContractOptions
  /** Where the WebAssembly module is; beside the script if not said. */
  module?: ModuleSource
  /**
   * Where `weft-rest.wasm` is, the rest of the module, with `weft-peers.wasm` beside it; beside the module or the
   * script if not said.
   */
  rest?: string | URL
  /** Where `weft-node.js` is, the worker in which all of this is done; beside the script if not said. */
  node?: string | URL
  /** Where `weft-store.js` is, the worker that keeps blocks on disk; beside the script if not said. */
  store?: string | URL
}

/** What a page has to say about itself. */
export interface Status {
  /** The page's name in the mesh. */
  readonly peer: string
  /** The peers that it is connected with, and what came from each and went to it. */
  readonly peers: readonly (ConnectedPeer & Readonly<PeerTraffic>)[]
  /** Whether peers are given what is kept. */
  readonly serve: boolean
  /** How many bytes of blocks came from peers, and how many they were given. */
  readonly bytesFetched: number
  readonly bytesServed: number
  /** How many bytes the site brought because the mesh was not as quick, as the service worker tells. */
  readonly bytesFromSite: number
  /** How many bytes of blocks gateways brought because no peer did. */
  readonly bytesFromGateways: number
  /** What is kept in memory. */
  readonly cachedBytes: number
  readonly cachedBlocks: number
  /** How many calls this page has had answered, has run for peers, and the gas of the latter. */
  readonly calls: { own: number; served: number; gasServed: number }
  /** What is kept on disk, and why nothing is. */
  readonly storedBytes: number
  readonly storedBlocks: number
  readonly storageFault: string | undefined
}

/** What a `Weft` tells of. */
export interface WeftEventMap {
  /** A peer has proven who it is. */
  connect: CustomEvent<ConnectedPeer>
  /** A connection has ended. */
  disconnect: CustomEvent<ConnectedPeer>
  /**
   * Blocks came from a peer and are what their hashes say. The URL is what they are for, and they are
   * about there in it: those of folders count as well.
   */
  piece: CustomEvent<{
    peer: string; bytes: number; url: string | undefined; position: number | undefined
  }>
  /** A peer was given blocks. */
  given: CustomEvent<{ peer: string; bytes: number }>
  /** A peer is proven to have lied about a call; it is not asked any more. */
  liar: CustomEvent<{ peer: string }>
  /**
   * An answer of peers to a call that was given out has turned out to be wrong: the record of it and, if
   * it is known, of the right one.
   */
  refuted: CustomEvent<{ url: string; record: string; right?: string }>
  /** A contract ran here for a peer. */
  served: CustomEvent<{ url: string; peer: string; gas: number; outcome: string }>
}

/** The most memory that a page may set apart for blocks. */
const MOST_MEMORY = 1 << 30

/** How a page's node works: the options as a worker can be told them, which knows no page. */
export interface NodeOptions {
  readonly peers: readonly string[]
  readonly gateways: readonly string[]
  readonly memory: number
  /** Undefined if there is no limit but the browser's. */
  readonly disk: number | undefined
  readonly serve: boolean
  readonly isShared: boolean
  readonly dialTimeout: number
  readonly patience: number
  readonly further: readonly (string | undefined)[]
  readonly store: string | undefined
  readonly contracts: NodeContracts
  /** Whether the page has WebRTC. */
  readonly canAssociate: boolean
}

/** The same of contracts; places are undefined where they cannot be told. */
export interface NodeContracts {
  readonly serve: boolean
  readonly run: boolean
  readonly workers: number | undefined
  readonly time: number | undefined
  readonly gas: number | undefined
  /** Where weft-calls.js is. */
  readonly script: string | undefined
  readonly module: ModuleSource | undefined
  readonly further: readonly (string | undefined)[]
  readonly worker: string | undefined
}

/** What a page's node is told of the options. Throws a TypeError for what makes no sense. */
export async function nodeOptions(options: StartOptions): Promise<NodeOptions> {
  const { base } = place
  const { storage, contracts = {} } = options
  const disk = limited('storage.disk', storage?.disk, Infinity, Infinity)
  return {
    peers: [...options.peers ?? []],
    gateways: [...options.gateways ?? []].map(url => `${new URL(url, document.baseURI)}`),
    memory: limited('storage.memory', storage?.memory, 64 << 20, MOST_MEMORY),
    disk: disk === Infinity ? undefined : disk,
    serve: options.serve === true || contracts.serve === true,
    isShared: options.tabs === 'shared',
    dialTimeout: limited('dialTimeout', options.dialTimeout, 10_000, LONGEST_WAIT),
    patience: limited('patience', options.patience, 30_000, LONGEST_WAIT),
    further: furtherOf(['weft-peers.wasm', 'weft-rest.wasm'], options, base),
    store: whereIs(options.store, 'weft-store.js'),
    contracts: {
      serve: contracts.serve === true, run: contracts.run !== false,
      workers: contracts.workers, time: contracts.time, gas: contracts.gas,
      script: whereIs(undefined, 'weft-calls.js'),
      module: await told(contracts.module) ?? whereIs(undefined, 'weft-calls.wasm'),
      further: furtherOf(['weft-calls-rest.wasm'], contracts, base),
      worker: whereIs(contracts.worker, 'weft-worker.js'),
    },
    canAssociate: typeof RTCPeerConnection === 'function',
  }
}

/** Where a file is that lies beside the script if nothing else is said. */
export function whereIs(said: string | URL | undefined, name: string): string | undefined {
  if (said !== undefined) return `${new URL(said, document.baseURI)}`
  return place.base && `${new URL(name, place.base)}`
}

/** A source in a form that a worker can be told. */
async function told(source: ModuleSource | undefined): Promise<ModuleSource | undefined> {
  if (source instanceof Response) return compile(source)
  return typeof source === 'string' || source instanceof URL ? `${new URL(source, document.baseURI)}` : source
}

/** A number of the options; the most that there can be if it is more. */
function limited(name: string, value: number | undefined, usual: number, most: number): number {
  if (value === undefined) return usual
  if (!(value >= 0)) throw new TypeError(`${name} is to be a number from 0 on, not ${value}`)
  return Math.min(value, most)
}
