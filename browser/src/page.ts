// A page in the mesh. What is done is done by its node (node.ts), in a worker as a rule; here is what pages
// see of that, and what browsers have in windows alone.

import type { Associations } from './associations.js'
import type { CallRecord, MeshOptions } from './contracts.js'
import { faultOf, stopped, toldError, WeftError } from './errors.js'
import { Incoming } from './incoming.js'
import { Link } from './link.js'
import {
  nodeOptions, type NodeOptions, type StartOptions, type Status, type WeftEventMap, whereIs,
} from './options.js'
import { compile, type ModuleSource } from './pieces.js'
import { isOfMesh } from './requests.js'
import { rest } from './rest.js'
import { Step } from './signals.js'
import { install, listenToWorker } from './site.js'
import {
  type AssociationNotice, type AssociationOrder, HEARD, type NodeLetter, type Wish,
} from './talk.js'

/** How long a page may load before it gives peers what it has, in milliseconds. */
const LOADING = 2000
/** How long a node has to have worked that another one begins when it comes to its end, in milliseconds. */
const LEAST_LIFE = 60_000

interface Waiting {
  readonly resolve: (value: never) => void
  readonly reject: (error: unknown) => void
}

/** A page that is a peer. */
export class Weft extends EventTarget {
  private link!: Link
  /** Those of WebRTC, once there is one to be made. */
  private associations: Promise<Associations> | undefined
  private readonly wishes = new Map<number, Waiting>()
  private readonly incoming = new Map<number, Incoming>()
  private nextNumber = 1
  private heard = 0
  private known!: Status
  /** What the page has said last about serving, until the node has heard it. */
  private wanted: { readonly isServing: boolean } | undefined
  private readonly stopListening: () => void
  /** Why there is nothing any more. */
  private fault: Error | undefined

  private module!: Promise<WebAssembly.Module>
  private options!: NodeOptions
  /** Resolves when the node has begun. */
  private begun!: Promise<void>
  /** When one had to begin anew last. */
  private renewed = -Infinity
  /** What was added, by its CIDs: another node is given it anew. */
  private readonly added = new Map<string, Blob>()

  private constructor(private readonly script: string) {
    super()
    this.call()
    this.stopListening = listenToWorker(said => {
      this.link.say(said, said.kind === 'pass' ? [said.port] : [])
    })
  }

  /**
   * Loads the module, and begins to dial the peers; waits for none of them, but for the service worker
   * if one is installed.
   */
  static async start(options: StartOptions & { module: ModuleSource }): Promise<Weft> {
    const script = whereIs(options.node, 'weft-node.js')
    if (script === undefined) throw new TypeError('say where weft-node.js is: node')
    const weft = new Weft(script)
    try {
      weft.module = compile(options.module)
      weft.module.catch(() => {})
      weft.options = await nodeOptions(options)
      await weft.begin()
      const { serviceWorker } = options
      await Promise.all([
        weft.give(),
        serviceWorker === undefined ? undefined : install(serviceWorker),
      ])
    } catch (error) {
      weft.stop()
      throw error
    }
    return weft
  }

  /** Has a node come. */
  private call(): void {
    const link = new Link(
      this.script, letter => this.hear(letter), error => this.fail(error), () => this.lose())
    this.link = link
    this.associations = undefined
  }

  /** Has it begin, while the module may still be loaded. */
  private begin(): Promise<void> {
    const { options } = this
    const module = this.module.then(module => this.link.say({ kind: 'module', module }))
    this.begun = Promise.all([module, this.ask({ kind: 'start', options })]).then(() => this.addAnew())
    return this.begun
  }

  /** Has a node that comes after another one keep what that was given. */
  private async addAnew(): Promise<void> {
    for (const content of this.added.values()) await this.ask({ kind: 'put', content })
  }

  /** Peers are given what is kept when the page has loaded, if they are to be. */
  private async give(): Promise<void> {
    if (!this.serve) return
    await mayServe()
    await this.wish({ kind: 'give' })
  }

  /** The node has come to its end: what it was asked fails, and another one begins, but not again and again. */
  private lose(): void {
    const now = performance.now()
    const cause = new WeftError('broken', 'Weft’s worker has come to its end; ask again', [])
    const error = new TypeError(cause.message, { cause })
    this.link.leave(0)
    this.stopAssociations()
    if (this.known === undefined || now - this.renewed < LEAST_LIFE) return this.fail(error)
    this.renewed = now
    this.refuse(error)
    this.options = { ...this.options, serve: this.serve }
    this.known = { ...this.known, peers: [] }
    this.call()
    this.begin().then(() => this.give()).catch(error => this.fail(error))
  }

  private hear({ said, status }: NodeLetter): void {
    if (status !== undefined) this.known = status
    if ((said.kind === 'event' || said.kind === 'news') && ++this.heard % HEARD === 0) {
      this.link.say({ kind: 'heard' })
    }
    switch (said.kind) {
      case 'done': return this.waiting(said.number)?.resolve(said.value as never)
      case 'failed': return this.waiting(said.number)?.reject(toldError(said.fault))
      case 'answer': return this.incoming.get(said.number)?.take(said.answer)
      case 'event': return void this.dispatchEvent(new CustomEvent(said.name, { detail: said.detail }))
      case 'webrtc': return void this.associate(said.order)
    }
  }

  /** Does something about WebRTC, in the order in which the node says so. */
  private async associate(order: AssociationOrder): Promise<void> {
    const { link } = this
    const tell = (notice: AssociationNotice, transfer?: Transferable[]): void =>
      link.say({ kind: 'webrtc', notice }, transfer)
    const begins = order.kind === 'dial' || order.kind === 'signal'
    if (this.associations === undefined && !begins) return
    const associations = this.associations ??= rest().then(({ Associations }) => new Associations(tell))
    try {
      (await associations).take(order)
    } catch (error) {
      // The script is not to be had now.
      if (this.associations === associations) this.associations = undefined
      const { message: reason } = error as Error
      if (order.kind === 'dial') tell({ kind: 'lost', association: order.association, reason })
      if (order.kind === 'signal') {
        tell({ kind: 'signal', call: order.call, step: Step.failed, bytes: new Uint8Array() })
      }
    }
  }

  private stopAssociations(): void {
    this.associations?.then(associations => associations.stop(), () => {})
  }

  private waiting(number: number): Waiting | undefined {
    const waiting = this.wishes.get(number)
    this.wishes.delete(number)
    return waiting
  }

  /** Asks the node for something when it has begun. */
  private async wish<Value>(wish: Wish, signal?: AbortSignal): Promise<Value> {
    this.checkIsRunning()
    await this.begun
    return this.ask(wish, signal)
  }

  private ask<Value>(wish: Wish, signal?: AbortSignal): Promise<Value> {
    this.checkIsRunning()
    signal?.throwIfAborted()
    const number = this.nextNumber++
    const abort = (): void => {
      this.link.say({ kind: 'cancel', number })
      this.waiting(number)?.reject(signal!.reason)
    }
    return new Promise<Value>((resolve, reject) => {
      this.wishes.set(number, { resolve, reject })
      signal?.addEventListener('abort', abort)
      this.link.say({ kind: 'wish', number, wish })
      this.watch()
    }).finally(() => signal?.removeEventListener('abort', abort))
  }

  /** What is asked is waited for as long as the node is there. */
  private watch(): void {
    this.link.watch(() => this.wishes.size + this.incoming.size > 0, this.options.patience)
  }

  /** Begins to keep a connection with who is at this address. */
  async connect(address: string): Promise<void> {
    await this.wish({ kind: 'connect', address })
    this.options = { ...this.options, peers: [...new Set([...this.options.peers, address])] }
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
    this.checkIsRunning()
    const { url, method, cache, integrity, signal } = request
    const isBare = method === 'GET' || method === 'HEAD'
    const body = isBare ? undefined : await request.arrayBuffer()
    await this.begun
    this.checkIsRunning()
    signal.throwIfAborted()
    const number = this.nextNumber++
    const incoming = new Incoming(
      request, demand => this.link.say({ kind: 'demand', number, demand }),
      () => this.incoming.delete(number))
    this.incoming.set(number, incoming)
    const headers = [...request.headers]
    this.link.say(
      { kind: 'fetch', number, request: { url, method, headers, body, cache, integrity, mesh: init?.mesh } },
      body === undefined ? [] : [body])
    this.watch()
    incoming.demand()
    return incoming.response
  }

  /** What is known of a call, by the CID of its record. */
  async callRecord(cid: string, signal?: AbortSignal): Promise<CallRecord> {
    return this.wish({ kind: 'record', cid }, signal)
  }

  /**
   * Adds a file, cut into blocks as nodes do, and answers its CID. It is kept in memory until the page
   * is left, and peers are given it if `serve` is on. Throws a RangeError if there is no room for it.
   */
  async put(content: Blob | BufferSource | string | ReadableStream<Uint8Array>): Promise<string> {
    const pieces: Blob[] = []
    const isStream = content instanceof ReadableStream
    if (!isStream) pieces.push(content instanceof Blob ? content : new Blob([content]))
    const cid = await (
      isStream ? this.putPieces(content, pieces) : this.wish<string>({ kind: 'put', content: pieces[0]! }))
    this.added.set(cid, pieces.length === 1 ? pieces[0]! : new Blob(pieces))
    return cid
  }

  /** Adds what comes, of which the pieces are kept here. */
  private async putPieces(content: ReadableStream<Uint8Array>, pieces: Blob[]): Promise<string> {
    const stream = this.nextNumber++
    const cid = this.wish<string>({ kind: 'put', content: stream })
    const reader = content.getReader()
    cid.catch(error => reader.cancel(error).catch(() => {}))
    try {
      for (;;) {
        const { done, value } = await reader.read()
        await this.wish({ kind: 'piece', stream, bytes: value })
        if (done) break
        pieces.push(new Blob([value as BlobPart]))
      }
    } catch (error) {
      await this.wish({ kind: 'unreadable', stream, fault: faultOf(error) })
      await cid
      throw error
    }
    return cid
  }

  /** Whether peers are given what is kept; may be changed at any time. */
  get serve(): boolean { return this.wanted?.isServing ?? this.known.serve }

  set serve(isServing: boolean) {
    const wanted = { isServing }
    this.wanted = wanted
    const isTime = isServing ? mayServe() : Promise.resolve()
    isTime.then(async () => {
      if (this.wanted !== wanted) return
      await this.wish({ kind: 'serve', isServing })
      if (this.wanted === wanted) this.wanted = undefined
    }).catch(() => {})
  }

  /** Who is connected, and what has come and gone, as the node has told last. */
  get status(): Status { return { ...this.known, serve: this.serve } }

  /** Ends all connections. What is being fetched fails. */
  stop(): void {
    if (this.fault !== undefined) return
    this.fail(stopped())
    this.link.end()
  }

  private fail(error: Error): void {
    this.fault ??= error
    this.stopListening()
    this.stopAssociations()
    this.refuse(error)
  }

  /** Fails what the node was asked. */
  private refuse(error: unknown): void {
    for (const number of [...this.wishes.keys()]) this.waiting(number)?.reject(error)
    for (const incoming of [...this.incoming.values()]) incoming.fail(error)
  }

  private checkIsRunning(): void {
    if (this.fault === undefined) return
    throw this.fault instanceof DOMException ? new TypeError('this Weft has been stopped') : this.fault
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
}

/**
 * Resolves when a page may begin to serve. What it does for its node then it loads already, as the site may be
 * gone when it is needed.
 */
async function mayServe(): Promise<void> {
  await loaded()
  rest().catch(() => {})
}

/** Resolves when the page and what it shows have been loaded, or that takes long. */
function loaded(): Promise<void> {
  return new Promise(resolve => {
    if (document.readyState === 'complete') return resolve()
    addEventListener('load', () => resolve(), { once: true })
    setTimeout(resolve, LOADING)
  })
}
