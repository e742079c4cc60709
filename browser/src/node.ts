// A page's node: its module, its connections, what it keeps, and what it has under way. It works in a worker,
// and knows the page by what the two say to each other alone.

import type { Calls, CallsHost } from './calls.js'
import { Channels } from './channels.js'
import type { CallRecord, MeshOptions } from './contracts.js'
import { Core, Count, EventKind, text, utf8 } from './core.js'
import { stopped } from './errors.js'
import type { Gateways } from './gateways.js'
import type { Names } from './names.js'
import type { NodeContracts, NodeOptions, Status, WeftEventMap } from './options.js'
import { Reader } from './reader.js'
import type { Reading } from './readings.js'
import { checked } from './responses.js'
import { rest } from './rest.js'
import { Serving } from './serving.js'
import { Storage } from './storage.js'
import type { Tabs } from './tabs.js'
import type { AssociationNotice, AssociationOrder } from './talk.js'
import { Traffic } from './traffic.js'
import { Turns } from './turns.js'
import { EarlySockets } from './websocket.js'

/** What a node needs of its page. */
export interface NodeHost {
  /** Tells the page of something. */
  tell(name: keyof WeftEventMap, detail: unknown): void
  /** How it stands has changed. */
  changed(): void
  /** Has the page do something about WebRTC. */
  order(order: AssociationOrder): void
}

export class Node {
  private readonly traffic = new Traffic()
  private readonly turns = new Turns(
    () => this.core.run('deadline'), () => {
      this.core.run('advance', this.now())
      this.settle()
    }, () => this.now())
  /** Whoever is asked besides peers, if the page knows any. */
  private gateways: Gateways | undefined
  private readonly storage: Storage
  private core!: Core
  private channels!: Channels
  /** What names lead to, once the first is asked for. */
  private names: Names | undefined
  private reader!: Reader
  private serving!: Serving
  private peer = ''
  private nextPutting = 1
  /** The other tabs of the site, if they share its connections. */
  private tabs: Tabs | undefined
  bytesFromSite = 0
  private isStopped = false
  private calls: Calls | undefined
  private callsStarting: Promise<Calls> | undefined
  private readonly secret = crypto.getRandomValues(new Uint8Array(64))
  /** Resolves when a stopped one has written what it was writing. */
  ended: Promise<void> = Promise.resolve()

  constructor(
    private readonly options: NodeOptions,
    private readonly host: NodeHost,
  ) {
    this.storage = new Storage(options.store, options.disk, () => host.changed())
  }

  /** Begins to dial the peers as soon as the module is there; waits for none of them. */
  async start(module: Promise<WebAssembly.Module>): Promise<void> {
    const { isShared, peers } = this.options
    // Which tab is to have connections is not known yet where they are shared.
    const early = new EarlySockets(isShared ? [] : peers)
    try {
      if (this.options.gateways.length > 0) this.gateways = await this.loadGateways()
      await this.begin(await module, early)
    } catch (error) {
      this.stop()
      throw error
    } finally {
      early.close()
    }
  }

  private async loadGateways(): Promise<Gateways> {
    const { Gateways } = await rest()
    const { gateways, patience } = this.options
    return new Gateways(
      gateways, patience, (...block) => this.brought(...block),
      (reading, line) => this.reader.note(reading, line))
  }

  private async begin(module: WebAssembly.Module, early: EarlySockets): Promise<void> {
    const { options, host, turns, storage, gateways, now } = this
    this.core = await Core.load(module, {
      send: (...message) => this.channels.send(...message),
      hash: (number, bytes) => storage.hash(number, bytes, digest => this.hashed(number, digest)),
      hashed: (number, digest) => this.hashed(number, digest),
      isStored: hash => storage.has(hash),
      store: (hash, bytes) => storage.keep(hash, bytes),
      unstore: hash => storage.drop(hash),
      load: (number, hash) => void this.load(number, hash),
      bring: (...order) => {
        const isAsked = gateways?.bring(...order) === true
        // What takes a gateway's block is in the rest.
        if (isAsked) this.core.whole().catch(() => {})
        return isAsked
      },
      event: (...event) => { turns.add(() => this.take(...event)) },
      failed: cause => this.end(reading => reading.break(cause), cause.message),
    }, options.further)
    // It may have been stopped meanwhile.
    this.checkIsRunning()
    const { core } = this
    // Several nodes, or hashing without the browser, take the next piece.
    if (options.peers.length > 1 || crypto.subtle === undefined) core.next().catch(() => {})
    const settle = (): void => this.settle()
    this.channels = new Channels(
      core, now, settle,
      (detail, isConnected) => {
        if (isConnected) this.serving.stay()
        this.tabs?.changed()
        host.tell(isConnected ? 'connect' : 'disconnect', detail)
      },
      options.dialTimeout, early, order => host.order(order))
    const { channels } = this
    this.reader = new Reader({
      core, turns, channels, storage, gateways, now, patience: options.patience,
      checkIsRunning: () => this.checkIsRunning(),
    })
    this.serving = new Serving({
      core, now, settle, canMeet: options.canAssociate,
      stopMeeting: () => channels.stopMeeting(),
      remainsReader: () => this.tabs?.note(false),
    }, options.serve)
    const argument = new Uint8Array([...this.secret, ...utf8('weft-page')])
    this.peer = text(core.ask('start', argument, options.memory, 0))
    // What peers are told to be spoken here they are told when they are connected.
    if (options.contracts.serve) await this.serving.whole(async () => { await this.loadCalls() })
    if (options.isShared) await this.share()
    else for (const address of options.peers) this.connect(address)
  }

  /** Joins the other tabs of the site, of which one has the connections. */
  private async share(): Promise<void> {
    const { Tabs } = await rest()
    this.checkIsRunning()
    this.tabs = await Tabs.join({
      fetch: (request, mesh) => this.fetch(request, mesh),
      put: content => this.put(content),
      connect: address => this.dial(address),
      isServing: this.serving.isOn,
      serve: isServing => this.serve(isServing),
      status: () => this.status,
    }, new Set(this.options.peers))
    if (this.isStopped) this.tabs.stop()
  }

  private readonly now = (): number => performance.now()

  private settle(): void {
    this.turns.settle()
    this.host.changed()
  }

  /** Whether something may come without the site. */
  get isConnected(): boolean {
    return this.tabs?.isLeading === false
      || this.channels?.connected.length > 0 || this.storage.count > 0
  }

  /** Begins to keep a connection with who is at this address. Throws a TypeError if it leads to nobody. */
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

  /** What became of an association that the page makes. */
  associated(notice: AssociationNotice): void {
    if (!this.isStopped) this.channels.associated(notice)
  }

  /** Answers a request for something in the mesh. */
  async fetch(request: Request, mesh?: MeshOptions): Promise<Response> {
    return checked(await this.answer(request, mesh), request)
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
    return this.reader.answer(request, () => this.loadNames())
  }

  private async loadNames(): Promise<Names> {
    const { Names } = await rest()
    this.checkIsRunning()
    const { core, channels, now, gateways } = this
    this.names ??= new Names(core, {
      now, settle: () => this.settle(),
      someone: signal => channels.someone(signal),
      hasPeers: () => channels.connected.length > 0,
      unreachable: trace => this.reader.unreachable(trace),
    }, gateways)
    return this.names
  }

  /** Connects with other pages that have a contract, as they may run it: if not this time, the next. */
  private seek(url: URL): void {
    if (!this.serving.isOn) return
    try {
      this.core.ask('seek', utf8(url.hostname), this.now())
    } catch {
      // What is wrong with the URL the call itself says.
    }
    this.settle()
  }

  /** What is known of a call, by the CID of its record. */
  async callRecord(cid: string, signal: AbortSignal): Promise<CallRecord> {
    this.checkIsRunning()
    return (await this.loadCalls()).record(cid, signal)
  }

  /** Loads what calls take, once. */
  private loadCalls(): Promise<Calls> {
    // After its module has failed another one is loaded.
    if (this.calls?.isOver === true && !this.isStopped) this.callsStarting = undefined
    const { core, channels } = this
    this.callsStarting ??= startCalls(this.options.contracts, core.next(), {
      seed: this.secret.subarray(0, 32),
      now: this.now,
      peerCount: () => channels.connected.length,
      isDialling: () => channels.isDialling,
      isServing: () => this.serving.isOn,
      someone: signal => channels.someone(signal),
      run: (name, ...parameters) => {
        core.run(name, ...parameters)
        this.settle()
      },
      ask: (name, ...parameters) => core.ask(name, ...parameters),
      read: (cid, names, limit, signal, isForPeer) =>
        this.reader.whole([cid, ...names], limit, signal, isForPeer === true),
      tell: (name, detail) => this.host.tell(name, detail),
    }, calls => {
      this.calls = calls
      if (this.isStopped) calls.end(stopped())
    })
    this.callsStarting.catch(() => { this.callsStarting = undefined })
    return this.callsStarting
  }

  /** Adds a file, and answers its CID. */
  async put(content: Blob | ReadableStream<Uint8Array>): Promise<string> {
    this.checkIsRunning()
    const isStream = content instanceof ReadableStream
    if (this.tabs?.isLeading === false) {
      return this.tabs.add(isStream ? await new Response(content).blob() : content)
    }
    const [{ put }] = await Promise.all([rest(), this.core.whole()])
    return put(
      this.core, this.nextPutting++, isStream ? content : content.stream(), this.now,
      () => this.settle())
  }

  /** Gives peers what is kept, or does not any more. */
  async serve(isServing: boolean): Promise<void> {
    this.serving.isOn = isServing
    this.tabs?.note(isServing)
    if (this.tabs?.isLeading !== false) await this.serving.apply()
  }

  /** Gives peers what is kept, if the options say so. */
  async give(): Promise<void> {
    if (this.serving.isOn) await this.serving.apply()
  }

  /** Who is connected, and what has come and gone. */
  get status(): Status {
    if (this.tabs?.isLeading === false && this.tabs.heard !== undefined) return this.tabs.heard
    const count = (what: Count): number => this.core.run('count', what)
    return {
      peer: this.peer,
      peers: this.channels.connected.map(
        entry => ({ ...entry, ...this.traffic.of(entry.peer) })),
      serve: this.serving.isOn,
      bytesFetched: count(Count.fetched),
      bytesServed: count(Count.served),
      bytesFromSite: this.bytesFromSite,
      bytesFromGateways: this.gateways?.byteCount ?? 0,
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
    this.end(reading => reading.abort(stopped()), 'closed here')
  }

  /** Ends everything, also because the module cannot go on. */
  private end(endReading: (reading: Reading) => void, reason: string): void {
    if (this.isStopped) return
    this.isStopped = true
    this.turns.stop()
    this.tabs?.stop()
    // What fails at its start has none of them.
    this.serving?.stop()
    this.names?.stop()
    this.reader?.end(endReading)
    this.calls?.end(this.core?.fault ?? stopped())
    this.channels?.stop(reason)
    this.ended = this.storage.stop()
  }

  private checkIsRunning(): void {
    if (!this.isStopped) return
    const fault = this.core?.fault
    throw new TypeError(fault?.message ?? 'this Weft has been stopped', { cause: fault })
  }

  private async load(number: number, hash: Uint8Array): Promise<void> {
    const block = await this.storage.load(hash)
    const none = new Uint8Array()
    this.core.run('read_from_disk', number, block?.digest ?? none, block?.bytes ?? none, this.now())
    this.settle()
  }

  /** A gateway has sent a block, or nothing; answers whether the bytes are right. */
  private brought(number: number, digest: Uint8Array, bytes: Uint8Array | undefined): boolean {
    if (this.isStopped) return true
    const isThere = bytes === undefined ? 0 : 1
    const isRight = this.core.run(
      'brought', number, isThere, digest, bytes ?? new Uint8Array(), this.now())
    this.settle()
    return isRight !== 0
  }

  private hashed(number: number, digest: Uint8Array): void {
    if (this.isStopped) return
    this.core.run('hashed', number, digest, this.now())
    this.settle()
  }

  private take(kind: EventKind, subject: number, number: number, bytes: Uint8Array): void {
    if (kind === EventKind.ready || kind === EventKind.ended) {
      this.channels.take(kind, subject, text(bytes))
    } else if (kind === EventKind.arrived) {
      const peer = text(bytes)
      this.traffic.came(peer, number)
      this.host.tell('piece', { peer, bytes: number, ...this.reader.came(subject, number) })
    } else if (kind === EventKind.gave) {
      const peer = text(bytes)
      this.traffic.went(peer, number)
      this.host.tell('given', { peer, bytes: number })
    } else if (kind >= EventKind.streams && kind < EventKind.streamsEnd) {
      this.calls?.stream(kind, subject, number, bytes)
    } else if (kind === EventKind.signal) {
      this.channels.signal(subject, number, bytes)
    } else if (kind === EventKind.named || kind === EventKind.unnamed) {
      this.names?.take(kind, subject, number, bytes)
    } else {
      this.reader.take(kind, subject, number, bytes)
    }
  }
}

/** Loads the script for calls, which pages without any do not pay for. */
async function startCalls(
  options: NodeContracts, ready: Promise<void>, host: CallsHost, started: (calls: Calls) => void,
): Promise<Calls> {
  if (options.script === undefined) throw new TypeError('where weft-calls.js is cannot be told')
  const [script] = await Promise.all([import(options.script), ready])
  return (script.Calls as typeof Calls).start(host, options, started)
}
