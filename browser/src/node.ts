// A page in the mesh.

import { Channels, type ConnectedPeer } from './channels.js'
import { Core, Count, EventKind, text, utf8 } from './core.js'
import type { Calls, CallsHost } from './calls.js'
import type { ContractOptions, MeshOptions } from './contracts.js'
import { networkError, WeftError } from './errors.js'
import { Gateways } from './gateways.js'
import { Names } from './names.js'
import { place, restOf } from './place.js'
import { Found, Listing, Reading, Refusal } from './readings.js'
import { ByteRange, byteRange, isOfMesh, mediaType } from './requests.js'
import { at, checked, refusal } from './responses.js'
import { type ModuleSource, STAYING } from './pieces.js'
import { answerWorker, install } from './site.js'
import { Storage } from './storage.js'
import { Tabs } from './tabs.js'
import { PeerTraffic, Traffic } from './traffic.js'
import { LONGEST_WAIT, Turns } from './turns.js'
import { EarlySockets } from './websocket.js'
import type { WorkContent } from './work.js'

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
  /** Where `weft-rest.wasm` is, the rest of the module; beside the module or the script if not said. */
  rest?: string | URL
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

/** How long a page may load before it gives peers what it has, in milliseconds. */
const LOADING = 2000

/** How long a peer is waited for before gateways are asked, in milliseconds. */
const HEAD_START = 500

/** The most memory that a page may set apart for blocks. */
const MOST_MEMORY = 1 << 30

/** A page that is a peer. */
export class Weft extends EventTarget {
  private readonly readings = new Map<number, Reading>()
  /** What is being read, and how far blocks have come. */
  private readonly places = new Map<number, { readonly url: string; position: number }>()
  private readonly traffic = new Traffic()
  private readonly turns = new Turns(
    () => this.core.run('deadline'), () => this.run('advance', this.now()), () => this.now())
  private core!: Core
  private channels!: Channels
  private storage!: Storage
  private gateways!: Gateways
  private names: Names | undefined
  private peer = ''
  private nextReading = 1
  private nextPutting = 1
  private stopAnswering: () => void = () => {}
  /** The other tabs of the site, if they share its connections. */
  private tabs: Tabs | undefined
  private bytesFromSite = 0
  private isServing = false
  private hasBegun = false
  private isStopped = false
  /** Why the module cannot be called any more. */
  private fault: WeftError | undefined
  private calls: Calls | undefined
  private callsStarting: Promise<Calls> | undefined
  private staying: ReturnType<typeof setTimeout> | undefined

  private constructor(
    private readonly patience: number,
    private readonly seed: Uint8Array,
    private readonly contracts: ContractOptions,
  ) {
    super()
  }

  /**
   * Loads the module, and begins to dial the peers; waits for none of them, but for the service worker
   * if one is installed.
   */
  static async start(options: StartOptions & { module: ModuleSource }): Promise<Weft> {
    const secret = crypto.getRandomValues(new Uint8Array(64))
    const weft = new Weft(
      limited('patience', options.patience, 30_000, LONGEST_WAIT), secret.subarray(0, 32),
      options.contracts ?? {})
    const dialTimeout = limited('dialTimeout', options.dialTimeout, 10_000, LONGEST_WAIT)
    const memory = limited('storage.memory', options.storage?.memory, 64 << 20, MOST_MEMORY)
    const disk = limited('storage.disk', options.storage?.disk, Infinity, Infinity)
    weft.gateways = new Gateways(
      options.gateways ?? [], weft.patience, (...block) => weft.brought(...block),
      (reading, line) => weft.readings.get(reading)?.note(line))
    // The page's elements ask before the module is there. What waited then begins in tasks of its own,
    // between which peers are heard.
    let begin = (): void => {}
    let fail = (_: unknown): void => {}
    const begun = new Promise<void>((resolve, reject) => { [begin, fail] = [resolve, reject] })
    begun.catch(() => {})
    let turn = begun
    weft.stopAnswering = answerWorker({
      fetch: async (input, init) => {
        const own = turn
        if (!weft.hasBegun) {
          turn = own.then(nextTask)
          turn.catch(() => {})
        }
        await own
        return weft.fetch(input, init)
      },
      isConnected: () => weft.isConnected,
      siteBrought: bytes => { weft.bytesFromSite += bytes },
    })
    let early: EarlySockets | undefined
    try {
      // Which tab is to have connections is not known yet where they are shared.
      early = new EarlySockets(options.tabs === 'shared' ? [] : options.peers ?? [])
      await weft.begin(options, secret, memory, disk, dialTimeout, early)
      early.close()
      weft.hasBegun = true
      begin()
      const { serviceWorker } = options
      await Promise.all([
        weft.beginServing(), serviceWorker === undefined ? undefined : install(serviceWorker),
      ])
    } catch (error) {
      early?.close()
      fail(error)
      weft.stop()
      throw error
    }
    return weft
  }

  /** Loads the module and begins to dial. */
  private async begin(
    options: StartOptions & { module: ModuleSource }, secret: Uint8Array, memory: number, disk: number,
    dialTimeout: number, early: EarlySockets,
  ): Promise<void> {
    const loading = Core.load(options.module, {
      send: (...message) => this.channels.send(...message),
      hash: (number, bytes) =>
        this.storage.hash(number, bytes, digest => this.hashed(number, digest)),
      hashed: (number, digest) => this.hashed(number, digest),
      isStored: hash => this.storage.has(hash),
      store: (hash, bytes) => this.storage.keep(hash, bytes),
      unstore: hash => this.storage.drop(hash),
      load: (number, hash) => void this.load(number, hash),
      bring: (...order) => {
        const isAsked = this.gateways.bring(...order)
        // What takes a gateway's block is in the rest.
        if (isAsked) this.core.whole().catch(() => {})
        return isAsked
      },
      event: (...event) => { this.turns.add(() => this.take(...event)) },
      failed: cause => this.failed(cause),
    }, restOf('weft-rest.wasm', options, place.base))
    loading.catch(() => {})
    this.storage = new Storage(
      options.store ?? (place.base && new URL('weft-store.js', place.base)),
      disk === Infinity ? undefined : disk)
    this.core = await loading
    this.channels = new Channels(
      this.core, this.now, () => this.turns.settle(),
      (detail, isConnected) => {
        const name = isConnected ? 'connect' : 'disconnect'
        if (isConnected) this.stay()
        this.tabs?.changed()
        this.dispatchEvent(new CustomEvent(name, { detail }))
      },
      dialTimeout,
      early,
    )
    this.names = new Names(this.core, {
      now: this.now,
      settle: () => this.turns.settle(),
      someone: signal => this.channels.someone(signal),
      hasPeers: () => this.channels.connected.length > 0,
      unreachable: trace => this.unreachable(trace),
    }, this.gateways)
    this.isServing = options.serve === true || options.contracts?.serve === true
    const argument = new Uint8Array([...secret, ...utf8('weft-page')])
    this.peer = text(this.core.ask('start', argument, memory, 0))
    // What peers are told to be spoken here they are told when they are connected.
    if (options.contracts?.serve === true) {
      await this.core.whole().then(() => this.loadCalls(), cause => this.remainReader(cause))
    }
    if (options.tabs === 'shared') await this.share(options.peers ?? [])
    else for (const address of options.peers ?? []) this.connect(address)
  }

  /** Gives peers what is kept, as soon as the page has loaded, which has better to do before. */
  private async beginServing(): Promise<void> {
    if (!this.isServing) return
    await loaded()
    await this.core.whole().then(() => this.serveNow(), cause => this.remainReader(cause))
  }

  /** Joins the other tabs of the site, of which one has the connections. */
  private async share(addresses: readonly string[]): Promise<void> {
    this.tabs = await Tabs.join({
      fetch: (url, init) => this.fetch(url, init),
      put: content => this.put(content),
      connect: address => this.dial(address),
      isServing: this.isServing,
      serve: isServing => { this.serve = isServing },
      status: () => this.status,
    }, new Set(addresses))
  }

  /** Whether something may come without the site. */
  private get isConnected(): boolean {
    return this.tabs?.isLeading === false
      || this.channels?.connected.length > 0 || this.storage.count > 0
  }

  /** Whether nobody has something because nobody is there. */
  private isAlone(cause: WeftError): boolean {
    return cause.code === 'absent' && this.channels.connected.length === 0
  }

  private unreachable(trace: readonly string[]): WeftError {
    const { outcomes } = this.channels
    const message = outcomes.length > 0 ? 'no peer can be reached' : 'no peers are known'
    return new WeftError('unreachable', message, [...trace, ...outcomes])
  }

  /**
   * Waits until a peer is connected or about to be, or none can be for now, or something is kept on
   * disk, or gateways have to do. What is read meanwhile is asked for as soon as the peer has proven who it is.
   */
  private async someone(signal: AbortSignal): Promise<boolean> {
    const peer = this.channels.someoneNear(signal)
    peer.catch(() => {})
    const disk = this.storage.opened.then(() => this.storage.count > 0 || peer)
    const gateway = this.gateways.isThere
      ? new Promise<boolean>(resolve => setTimeout(() => resolve(true), HEAD_START)) : peer
    const hasPeer = await Promise.race([peer, disk, gateway])
    if (!hasPeer) await disk
    return hasPeer
  }

  /** Begins to keep a connection with who is at this address. */
  connect(address: string): void {
    if (this.tabs !== undefined) this.tabs.connect(address)
    else this.dial(address)
  }

  private dial(address: string): void {
    this.checkIsRunning()
    try {
      this.channels.add(address)
    } catch (error) {
      throw new TypeError(`${address}: ${(error as Error).message}`)
    }
  }

  /**
   * Fetches what `window.fetch` would, what `ipfs://CID/path` and `ipns://NAME/path` name from the mesh,
   * and has `weft://CID/method` answered by a contract, here or by peers.
   */
  async fetch(
    input: RequestInfo | URL, init?: RequestInit & { mesh?: MeshOptions },
  ): Promise<Response> {
    if (!isOfMesh(input)) return globalThis.fetch(input, init)
    const request = new Request(input, init)
    return checked(await this.answer(request, init?.mesh), request)
  }

  private async answer(request: Request, mesh: MeshOptions | undefined): Promise<Response> {
    const url = new URL(request.url)
    this.checkIsRunning()
    if (url.protocol === 'weft:') {
      // Another tab that is gone by then leaves it to this one.
      const copy = this.tabs?.isLeading === false ? request.clone() : undefined
      const answer = copy && await this.tabs?.foreignCall(copy, mesh)
      if (answer !== undefined) return answer
      const calls = await this.loadCalls()
      this.checkIsRunning()
      this.seek(url)
      return calls.fetch(request, mesh)
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      throw new TypeError(`${request.method} changes something, and ${url.href} cannot be changed`)
    }
    request.signal.throwIfAborted()
    if (this.tabs?.isLeading === false) return this.tabs.fetch(request)
    const { root, names } = await this.names!.lead(url, request.cache, request.signal)
    const range = byteRange(request.headers.get('range'))
    const isLocal = request.cache === 'only-if-cached'
    const hasPeer = isLocal ? await this.storage.opened : await this.someone(request.signal)
    this.checkIsRunning()
    request.signal.throwIfAborted()
    if (hasPeer === false && this.storage.count === 0 && !this.gateways.isThere) {
      throw networkError(url.href, this.unreachable([]))
    }
    const found = await this.find(url.href, [root, ...names], range, request.signal, { isLocal })
    if (found instanceof Listing) throw new TypeError(`${url.href} is a folder`)
    if (found instanceof Refusal) return refusal(found, url.href, request.method)
    const headers = new Headers({
      'content-type': mediaType(found.isIndex ? 'index.html' : names.at(-1) ?? ''),
      'content-length': `${found.end - found.start}`,
      'accept-ranges': 'bytes',
      'x-ipfs-path': `/ipfs/${[root, ...names.map(encodeURIComponent)].join('/')}`,
    })
    if (range !== undefined) {
      headers.set('content-range', `bytes ${found.start}-${found.end - 1}/${found.size}`)
    }
    let body: ReadableStream<Uint8Array> | null = found.body
    if (request.method === 'HEAD') {
      await body.cancel()
      body = null
    }
    const status = range === undefined ? 200 : 206
    return at(url.href, new Response(body, { status, headers }))
  }

  /** Connects with other pages that have a contract, as they may run it: if not this time, the next. */
  private seek(url: URL): void {
    if (!this.isServing) return
    try {
      this.core.ask('seek', utf8(url.hostname), this.now())
    } catch {
      // What is wrong with the URL the call itself says.
    }
    this.turns.settle()
  }

  /** Finds what a path leads to. */
  private async find(
    url: string, path: readonly string[], range: ByteRange | undefined, signal: AbortSignal,
    { isListing = false, isLocal = false, isSecret = false } = {},
  ): Promise<Found | Listing | Refusal> {
    const number = this.nextReading++
    const forget = (): void => {
      this.readings.delete(number)
      this.places.delete(number)
      this.gateways.end(number)
      signal.removeEventListener('abort', abort)
    }
    const reading = new Reading(
      count => this.run('took', number, count, this.now()),
      () => this.run('cancel', number, this.now()),
      cause => networkError(url, this.isAlone(cause) ? this.unreachable(cause.trace) : cause),
      forget,
    )
    const abort = (): void => reading.abort(signal.reason)
    this.readings.set(number, reading)
    this.places.set(number, { url, position: Math.max(0, range?.from ?? 0) })
    signal.addEventListener('abort', abort)
    try {
      this.core.ask(
        'read', number, utf8(path.join('\0')), range?.from ?? NaN, range?.to ?? NaN,
        (isListing ? 1 : 0) | (isLocal ? 2 : 0) | (isSecret ? 4 : 0), this.patience, this.now())
    } catch (error) {
      forget()
      this.checkIsRunning()
      throw new TypeError(`${url}: ${(error as Error).message}`)
    }
    this.turns.settle()
    return reading.found
  }

  /** What is known of a call, by the CID of its record. */
  async callRecord(cid: string, signal: AbortSignal = new AbortController().signal) {
    this.checkIsRunning()
    return (await this.loadCalls()).record(cid, signal)
  }

  /** Loads what calls take, once. */
  private loadCalls(): Promise<Calls> {
    // After its module has failed another one is loaded.
    if (this.calls?.isOver === true && !this.isStopped) this.callsStarting = undefined
    this.callsStarting ??= this.core.whole().then(() => startCalls(this.contracts, {
      seed: this.seed,
      now: this.now,
      peerCount: () => this.channels.connected.length,
      isDialling: () => this.channels.isDialling,
      isServing: () => this.isServing,
      someone: signal => this.channels.someone(signal),
      run: (name, ...parameters) => {
        this.core.run(name, ...parameters)
        this.turns.settle()
      },
      ask: (name, ...parameters) => this.core.ask(name, ...parameters),
      read: (cid, names, limit, signal, isForPeer) =>
        this.readWhole([cid, ...names], limit, signal, isForPeer === true),
      tell: (name, detail) => { this.dispatchEvent(new CustomEvent(name, { detail })) },
    }, calls => {
      this.calls = calls
      if (this.isStopped) calls.end(new DOMException('Weft has been stopped', 'AbortError'))
    }))
    this.callsStarting.catch(() => { this.callsStarting = undefined })
    return this.callsStarting
  }

  /** Reads what contracts see of a path. */
  private async readWhole(
    path: readonly string[], limit: number, signal: AbortSignal, isSecret: boolean,
  ): Promise<WorkContent> {
    const name = path.join('/')
    if (this.channels.connected.length === 0) await this.someone(signal)
    const found = await this.find(name, path, undefined, signal, { isListing: true, isSecret })
    if (found instanceof Refusal) return { kind: 'nothing' }
    if (found instanceof Listing) return { kind: 'folder', names: found.names }
    if (found.size > limit) {
      await found.body.cancel()
      throw new RangeError(`${name} has more than ${limit} bytes`)
    }
    return { kind: 'file', bytes: new Uint8Array(await new Response(found.body).arrayBuffer()) }
  }

  /**
   * Adds a file, cut into blocks as nodes do, and answers its CID. It is kept in memory until the page
   * is left, and peers are given it if `serve` is on. Throws a RangeError if there is no room for it.
   */
  async put(content: Blob | BufferSource | string | ReadableStream<Uint8Array>): Promise<string> {
    if (this.tabs?.isLeading === false) {
      const isStream = content instanceof ReadableStream
      return this.tabs.add(isStream ? await new Response(content).blob() : new Blob([content]))
    }
    await this.core.whole()
    const number = this.nextPutting++
    const ask = (name: string, ...parameters: (number | Uint8Array)[]): Uint8Array => {
      try {
        return this.core.ask(name, number, ...parameters, this.now())
      } catch (error) {
        throw this.fault ?? new RangeError((error as Error).message)
      } finally {
        this.turns.settle()
      }
    }
    const body = content instanceof ReadableStream ? content : new Blob([content]).stream()
    try {
      for (const reader = body.getReader(); ;) {
        const { done, value } = await reader.read()
        if (done) break
        ask('put', value)
      }
      // An empty file has a block, too.
      ask('put', new Uint8Array())
      return text(ask('put_end'))
    } catch (error) {
      this.core.run('put_cancel', number)
      throw error
    }
  }

  /** Meets other pages as long as peers are served. A browser without WebRTC meets none. */
  private meet(): void {
    const isMeeting = this.isServing && typeof RTCPeerConnection === 'function'
    // Before the module forgets them: what two have agreed on ends as well.
    if (!isMeeting) this.channels.stopMeeting()
    this.core.run('meet', isMeeting ? 1 : 0, Date.now() / 1000, this.now())
    this.turns.settle()
  }

  /** Whether peers are given what is kept; may be changed at any time. */
  get serve(): boolean {
    return this.tabs?.isLeading === false ? this.tabs.serves : this.isServing
  }

  set serve(isServing: boolean) {
    this.isServing = isServing
    this.tabs?.note(isServing)
    if (this.tabs?.isLeading === false) return
    if (this.core.isWhole) this.serveNow()
    else if (isServing) void this.beginServing()
  }

  private serveNow(): void {
    if (this.isStopped) return
    this.core.run('serve', this.isServing ? 1 : 0)
    this.meet()
  }

  /** What giving takes cannot be loaded now; reading goes on, and `serve` may be set again. */
  private remainReader(cause: Error): void {
    this.isServing = false
    this.tabs?.note(false)
    console.warn(`Weft only reads, as the rest of its module is not to be had: ${cause.message}`)
  }

  /** A page that stays loads the rest of its module, so that it lacks nothing if the site goes away. */
  private stay(): void {
    if (this.isStopped || this.core.isWhole) return
    this.staying ??= setTimeout(() => {
      this.core.whole().catch(() => { this.staying = undefined })
    }, STAYING)
  }

  /** Who is connected, and what has come and gone. */
  get status(): Status {
    if (this.tabs?.isLeading === false && this.tabs.heard !== undefined) return this.tabs.heard
    const count = (what: Count): number => this.core.run('count', what)
    return {
      peer: this.peer,
      peers: this.channels.connected.map(
        entry => ({ ...entry, ...this.traffic.of(entry.peer) })),
      serve: this.isServing,
      bytesFetched: count(Count.fetched),
      bytesServed: count(Count.served),
      bytesFromSite: this.bytesFromSite,
      bytesFromGateways: this.gateways.byteCount,
      cachedBytes: count(Count.cachedBytes),
      cachedBlocks: count(Count.cachedBlocks),
      calls: { ...this.calls?.counts ?? { own: 0, served: 0, gasServed: 0 } },
      storedBytes: this.storage.byteCount,
      storedBlocks: this.storage.count,
      storageFault: this.storage.fault,
    }
  }

  /** Ends all connections. What is being fetched fails. */
  stop(): void {
    const reason = new DOMException('Weft has been stopped', 'AbortError')
    this.end(reading => reading.abort(reason), 'closed here')
  }

  /** Ends everything because the module cannot go on. */
  private failed(cause: WeftError): void {
    this.fault = cause
    this.end(reading => reading.break(cause), cause.message)
  }

  private end(endReading: (reading: Reading) => void, reason: string): void {
    if (this.isStopped) return
    this.isStopped = true
    clearTimeout(this.staying)
    this.turns.stop()
    this.tabs?.stop()
    this.names?.stop()
    for (const reading of [...this.readings.values()]) endReading(reading)
    this.calls?.end(this.fault ?? new DOMException('Weft has been stopped', 'AbortError'))
    // What fails at its start has none of them.
    this.channels?.stop(reason)
    this.storage?.stop()
    this.stopAnswering()
  }

  private checkIsRunning(): void {
    if (!this.isStopped) return
    throw new TypeError(this.fault?.message ?? 'this Weft has been stopped', { cause: this.fault })
  }

  override addEventListener<Name extends keyof WeftEventMap>(
    name: Name,
    listener: (this: Weft, event: WeftEventMap[Name]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void
  override addEventListener(
    name: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void
  override addEventListener(
    name: string,
    listener: unknown,
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(name, listener as EventListener, options)
  }

  private async load(number: number, hash: Uint8Array): Promise<void> {
    const block = await this.storage.load(hash)
    const none = new Uint8Array()
    this.core.run('read_from_disk', number, block?.digest ?? none, block?.bytes ?? none, this.now())
    this.turns.settle()
  }

  /** A gateway has sent a block, or nothing; answers whether the bytes are right. */
  private brought(number: number, digest: Uint8Array, bytes: Uint8Array | undefined): boolean {
    if (this.isStopped) return true
    const isThere = bytes === undefined ? 0 : 1
    const isRight = this.core.run(
      'brought', number, isThere, digest, bytes ?? new Uint8Array(), this.now())
    this.turns.settle()
    return isRight !== 0
  }

  private hashed(number: number, digest: Uint8Array): void {
    if (this.isStopped) return
    this.core.run('hashed', number, digest, this.now())
    this.turns.settle()
  }

  private readonly now = (): number => performance.now()

  private run(name: string, ...parameters: number[]): void {
    this.core.run(name, ...parameters)
    this.turns.settle()
  }

  private take(kind: EventKind, subject: number, number: number, bytes: Uint8Array): void {
    if (kind === EventKind.ready || kind === EventKind.ended) {
      this.channels.take(kind, subject, text(bytes))
    } else if (kind === EventKind.arrived) {
      const peer = text(bytes)
      this.traffic.came(peer, number)
      const place = this.places.get(subject)
      const detail = { peer, bytes: number, url: place?.url, position: place?.position }
      if (place !== undefined) place.position += number
      this.dispatchEvent(new CustomEvent('piece', { detail }))
    } else if (kind === EventKind.gave) {
      const peer = text(bytes)
      this.traffic.went(peer, number)
      this.dispatchEvent(new CustomEvent('given', { detail: { peer, bytes: number } }))
    } else if (kind >= EventKind.streams && kind < EventKind.streamsEnd) {
      this.calls?.stream(kind, subject, number, bytes)
    } else if (kind === EventKind.signal) {
      this.channels.signal(subject, number, bytes)
    } else if (kind === EventKind.named || kind === EventKind.unnamed) {
      this.names?.take(kind, subject, number, bytes)
    } else {
      this.readings.get(subject)?.take(kind, number, bytes)
    }
  }
}

/** Resolves in another task. */
function nextTask(): Promise<void> {
  return new Promise(resolve => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(undefined)
  })
}

/** Resolves when the page and what it shows have been loaded, or that takes long. */
function loaded(): Promise<void> {
  return new Promise(resolve => {
    if (document.readyState === 'complete') return resolve()
    addEventListener('load', () => resolve(), { once: true })
    setTimeout(resolve, LOADING)
  })
}

/** Loads the script for calls, which pages without any do not pay for. */
async function startCalls(
  options: ContractOptions, host: CallsHost, started: (calls: Calls) => void,
): Promise<Calls> {
  if (place.base === undefined) throw new TypeError('where weft-calls.js is cannot be told')
  const script = await import(`${new URL('weft-calls.js', place.base)}`)
  const calls = await (script.Calls as typeof Calls).start(host, options, place.base, started)
  return calls
}

/** A number of the options; the most that there can be if it is more. */
function limited(name: string, value: number | undefined, usual: number, most: number): number {
  if (value === undefined) return usual
  if (!(value >= 0)) throw new TypeError(`${name} is to be a number from 0 on, not ${value}`)
  return Math.min(value, most)
}
