// One of a site's tabs has the connections, and the others fetch through it. A lock says which: when
// that tab is closed, the browser gives the lock to the next, which goes on with what was under way.

import { answer, type AnswerPort } from './answering.js'
import type { MeshOptions, MeshResponse } from './contracts.js'
import { faultOf, stopped, toldError } from './errors.js'
import type { Fault, MeshAnswer, MeshDemand, MeshRequest } from './messages.js'
import type { Status } from './options.js'
import { requestOf } from './requests.js'
import { at } from './responses.js'

/** What tabs tell all others. */
type Note =
  /** A tab has the connections from now on, or there is news of them. */
  | { readonly weft: 'leads'; readonly isNew: boolean; readonly status: Status }
  /** A tab wants to be told who leads, and be connected with whoever is at these addresses. */
  | { readonly weft: 'joins'; readonly addresses: readonly string[] }
  | { readonly weft: 'serve'; readonly isServing: boolean }
  /** A tab wants something; what is said about it goes over a channel of this name. */
  | { readonly weft: 'asks'; readonly channel: string; readonly request: MeshRequest }
  | { readonly weft: 'puts'; readonly channel: string; readonly content: Blob }
  | { readonly weft: 'calls'; readonly channel: string; readonly call: Call }

/** A call of a contract. */
interface Call {
  readonly url: string
  readonly method: string
  readonly headers: [string, string][]
  readonly body: ArrayBuffer | undefined
  readonly mesh: MeshOptions | undefined
}

/** What became of one. */
type CallAnswer =
  | {
    readonly status: number
    readonly headers: [string, string][]
    readonly body: ArrayBuffer
    readonly mesh: MeshResponse | undefined
  }
  | Fault

/** That it is not done yet, and the tab is still there. */
interface Busy {
  readonly isBusy: true
}

/** What became of what a tab wants to put. */
type PutAnswer = { readonly cid: string } | Fault

/** What a tab does when it has the connections. */
export interface Leader {
  fetch(request: Request, mesh?: MeshOptions): Promise<Response>
  put(content: Blob): Promise<string>
  connect(address: string): void
  serve(isServing: boolean): void
  status(): Status
  /** What the tab's own page has said about serving. */
  readonly isServing: boolean
}

/** The name of the lock and of the channel that all tabs hear. */
const NAME = 'weft'
/** How long the tab that has the connections may take to answer at all, in milliseconds. */
const PATIENCE = 5000
/** How often a tab says that it is at it, and how long it may be silent: browsers hold back timers. */
const BEAT = 20_000
const SILENCE = 90_000
/** How often there may be news, in milliseconds. */
const PAUSE = 500
/** That the tab that was asked is gone. */
const LOST = Symbol('the tab that had the connections is gone')

/** The tabs of a site, for one of them. */
export class Tabs {
  isLeading = false
  /** What was heard last of the tab that has the connections. */
  heard: Status | undefined
  /** What any of the tabs has said last about serving. */
  serves: boolean
  private readonly channel = new BroadcastChannel(NAME)
  /** What is asked of another tab, and what is to be done when that is gone. */
  private readonly asked = new Set<(error?: unknown) => void>()
  private readonly end = new AbortController()
  private release: () => void = () => {}
  private timer: ReturnType<typeof setTimeout> | undefined
  private hasHeard: () => void = () => {}
  /** Whether another tab has said how it stands. */
  private isJoined = false
  /** What this tab has put, which is gone with the tab that keeps it. */
  private readonly put = new Set<Blob>()

  private constructor(
    private readonly leader: Leader,
    private readonly addresses: Set<string>,
  ) {
    this.serves = leader.isServing
    this.channel.onmessage = ({ data }: MessageEvent<Note>) => this.hear(data)
  }

  /** Joins the others. Resolves when this tab has the connections, or hears of who has. */
  static async join(leader: Leader, addresses: Set<string>): Promise<Tabs> {
    const tabs = new Tabs(leader, addresses)
    await new Promise<void>((resolve, reject) => {
      navigator.locks.request(NAME, { ifAvailable: true }, lock => {
        if (lock !== null) {
          const over = tabs.lead()
          resolve()
          return over
        }
        tabs.hasHeard = resolve
        tabs.wait()
        setTimeout(resolve, PATIENCE)
        return undefined
      }).catch(reject)
    }).catch(error => {
      tabs.stop()
      throw error
    })
    return tabs
  }

  /** Waits for its turn to have the connections. */
  private wait(): void {
    this.tell({ weft: 'joins', addresses: [...this.addresses] })
    const { signal } = this.end
    navigator.locks.request(NAME, { signal }, () => this.lead()).catch(error => {
      if (!signal.aborted) reportError(error)
    })
  }

  /** This tab has the connections until what it returns is resolved. */
  private lead(): Promise<void> {
    if (this.end.signal.aborted) return Promise.resolve()
    this.isLeading = true
    this.hasHeard()
    for (const address of this.addresses) this.dial(address)
    this.leader.serve(this.serves)
    this.restore()
    this.tell({ weft: 'leads', isNew: true, status: this.leader.status() })
    return new Promise(resolve => { this.release = resolve })
  }

  /** Connects with who is at an address that any tab has named. Of a bad one the others hear nothing. */
  private dial(address: string): void {
    try {
      this.leader.connect(address)
      this.addresses.add(address)
    } catch (error) {
      this.addresses.delete(address)
      console.warn((error as Error).message)
    }
  }

  /** Who had the connections is gone, and another tab, or this one, has them. */
  private restore(): void {
    for (const lose of [...this.asked]) lose()
    for (const content of this.put) void this.keep(content).catch(() => {})
  }

  private tell(note: Note): void {
    this.channel.postMessage(note)
  }

  private hear(note: Note): void {
    if (note.weft === 'leads') {
      this.heard = note.status
      // News may be older than what another tab has said meanwhile, but for the first.
      if (!this.isJoined) this.serves = note.status.serve
      this.isJoined = true
      this.hasHeard()
      if (note.isNew) {
        this.tell({ weft: 'joins', addresses: [...this.addresses] })
        this.restore()
      }
      return
    }
    if (note.weft === 'serve') this.serves = note.isServing
    if (!this.isLeading) return
    switch (note.weft) {
      case 'joins':
        for (const address of note.addresses) if (!this.addresses.has(address)) this.dial(address)
        return this.tell({ weft: 'leads', isNew: false, status: this.leader.status() })
      case 'serve':
        this.leader.serve(note.isServing)
        return this.changed()
      case 'asks': {
        const port = new Answering(note.channel, this.end.signal)
        return void answer(signal => this.leader.fetch(requestOf(note.request, signal)), port)
          .finally(() => this.changed())
      }
      case 'puts':
        return this.say(note.channel, this.leader.put(note.content).then(cid => ({ cid })))
      case 'calls':
        return this.say(note.channel, this.call(note.call))
    }
  }

  /** Tells one tab what came of something, or what is wrong. */
  private say(name: string, outcome: Promise<PutAnswer | CallAnswer>): void {
    const channel = new BroadcastChannel(name)
    const busy: Busy = { isBusy: true }
    const beat = setInterval(() => channel.postMessage(busy), BEAT)
    outcome.catch(faultOf).then(said => {
      if (!this.end.signal.aborted) channel.postMessage(said)
    }).catch((error): void => {
      // Something in it cannot be told to another tab.
      if (!this.end.signal.aborted) channel.postMessage(faultOf(error))
    }).finally(() => {
      clearInterval(beat)
      channel.close()
    })
  }

  private async call({ url, mesh, body, ...init }: Call): Promise<CallAnswer> {
    const response = await this.leader.fetch(new Request(url, { ...init, ...(body && { body }) }), mesh)
    return {
      status: response.status, headers: [...response.headers], body: await response.arrayBuffer(),
      mesh: (response as Response & { mesh?: MeshResponse }).mesh,
    }
  }

  /** There is news for the others, who are told in a while. */
  changed(): void {
    if (!this.isLeading || this.timer !== undefined) return
    this.timer = setTimeout(() => {
      this.timer = undefined
      if (!this.end.signal.aborted) {
        this.tell({ weft: 'leads', isNew: false, status: this.leader.status() })
      }
    }, PAUSE)
  }

  /** Whoever is at an address is connected with, by the tab that has the connections. */
  connect(address: string): void {
    if (this.addresses.has(address)) return
    if (this.isLeading) {
      this.leader.connect(address)
      this.addresses.add(address)
    } else {
      this.addresses.add(address)
      this.tell({ weft: 'joins', addresses: [address] })
    }
  }

  /** The page of this tab has said whether peers are served: all tabs remember it. */
  note(isServing: boolean): void {
    if (this.serves === isServing) return
    this.serves = isServing
    if (this.heard !== undefined) this.heard = { ...this.heard, serve: isServing }
    this.tell({ weft: 'serve', isServing })
  }

  // What another tab does for this one.

  /** Fetches through the tab that has the connections, and goes on when another has them. */
  async fetch(request: Request): Promise<Response> {
    const { url, method, cache, signal } = request
    const range = request.headers.get('range')
    const ask = (place: string, wanted: string | null): Promise<Source> =>
      this.source(place, method, wanted, cache, signal)
    let source = await ask(url, range)
    const { status, headers } = source
    // A name may lead elsewhere when another tab is asked for the rest.
    const place = headers.get('x-ipfs-path')?.replace('/ipfs/', 'ipfs://') ?? url
    const start = firstByte(headers)
    let count = 0
    const size = headers.get('content-length')
    // Without it nobody else can be asked for the rest.
    const length = size === null ? undefined : Number(size)
    const body = new ReadableStream<Uint8Array>({
      pull: async controller => {
        for (;;) {
          try {
            const piece = await source.next()
            if (piece === undefined) return controller.close()
            count += piece.length
            return controller.enqueue(piece)
          } catch (error) {
            if (error !== LOST) throw error
            if (length === undefined) throw new TypeError('the tab that answered is gone')
            // The last byte had come, and only the end had not.
            if (count >= length) return controller.close()
            const next = start + count
            source = await ask(place, `bytes=${next}-${start + length - 1}`)
            if (source.status !== 206 || firstByte(source.headers) !== next) {
              source.stop()
              throw new TypeError(`the rest of ${url} is not to be had from another tab`)
            }
          }
        }
      },
      cancel: () => source.stop(),
    }, { highWaterMark: 0 })
    const isEmpty = method === 'HEAD'
    if (isEmpty) source.stop()
    const response = new Response(isEmpty ? null : body, { status, headers })
    return at(url, response)
  }

  /** What answers a request: another tab, or this one if it has the connections by now. */
  private async source(
    url: string, method: string, range: string | null, cache: RequestCache, signal: AbortSignal,
  ): Promise<Source> {
    for (;;) {
      signal.throwIfAborted()
      const request: MeshRequest = { weft: 'fetch', url, method, range, cache }
      if (this.isLeading) {
        return new OwnSource(await this.leader.fetch(requestOf(request, signal)))
      }
      try {
        return await this.foreign(request, signal)
      } catch (error) {
        if (error !== LOST) throw error
      }
    }
  }

  private async foreign(request: MeshRequest, signal: AbortSignal): Promise<Source> {
    const channel = `${NAME}/${crypto.randomUUID()}`
    const source = new ForeignSource(channel, this.asked, signal)
    this.tell({ weft: 'asks', channel, request })
    await source.head()
    return source
  }

  /** Adds a file where the connections are, for as long as this tab is there. */
  async add(content: Blob): Promise<string> {
    const cid = await this.keep(content)
    this.put.add(content)
    return cid
  }

  private async keep(content: Blob): Promise<string> {
    while (!this.isLeading) {
      try {
        return await this.foreignPut(content)
      } catch (error) {
        if (error !== LOST) throw error
      }
    }
    return this.leader.put(content)
  }

  private async foreignPut(content: Blob): Promise<string> {
    const said = await this.ask<PutAnswer>(channel => ({ weft: 'puts', channel, content }))
    if ('cid' in said) return said.cid
    throw toldError(said)
  }

  /** Has a contract called by the tab that has the connections, while that is another. */
  async foreignCall(request: Request, mesh: MeshOptions | undefined): Promise<Response | undefined> {
    const { url, method } = request
    const body = request.body === null ? undefined : await request.arrayBuffer()
    const call = { url, method, headers: [...request.headers], body, mesh }
    while (!this.isLeading) {
      request.signal.throwIfAborted()
      try {
        const said = await this.ask<CallAnswer>(
          channel => ({ weft: 'calls', channel, call }), request.signal)
        if ('message' in said) throw toldError(said)
        const { status, headers, body: bytes } = said
        const response = new Response(bytes.byteLength > 0 ? bytes : null, { status, headers })
        return Object.defineProperty(at(url, response), 'mesh', { value: said.mesh })
      } catch (error) {
        if (error !== LOST) throw error
      }
    }
    return undefined
  }

  /** Asks the tab that has the connections for something that has one answer. */
  private ask<Said extends object>(
    make: (channel: string) => Note, signal?: AbortSignal,
  ): Promise<Said> {
    const name = `${NAME}/${crypto.randomUUID()}`
    const channel = new BroadcastChannel(name)
    let lose = (_error?: unknown): void => {}
    const abort = (): void => lose(signal?.reason)
    const patience = new Patience(() => lose(silence()), SILENCE)
    return new Promise<Said>((resolve, reject) => {
      lose = (error = LOST) => reject(error)
      this.asked.add(lose)
      signal?.addEventListener('abort', abort)
      channel.onmessage = ({ data }: MessageEvent<Said | Busy>) => {
        if ('isBusy' in data) patience.renew()
        else resolve(data)
      }
      this.tell(make(name))
    }).finally(() => {
      patience.end()
      signal?.removeEventListener('abort', abort)
      this.asked.delete(lose)
      channel.close()
    })
  }

  /** Leaves the others; the next of them has the connections, if this one had them. */
  stop(): void {
    this.end.abort()
    for (const lose of [...this.asked]) lose(stopped())
    this.isLeading = false
    clearTimeout(this.timer)
    this.release()
    this.channel.close()
  }
}

/** How long it is waited that something is said. */
class Patience {
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly lose: () => void, private readonly time: number) {
    this.renew()
  }

  renew(time = this.time): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(this.lose, time)
  }

  end(): void {
    clearTimeout(this.timer)
  }
}

function silence(): TypeError {
  return new TypeError('the tab that has the connections does not answer')
}

/** Where the bytes of an answer begin in the content. */
function firstByte(headers: Headers): number {
  const range = /^bytes (\d+)-/.exec(headers.get('content-range') ?? '')
  return range === null ? 0 : Number(range[1])
}

/** What another tab is answered over. When this one leaves nothing more is said: the next goes on. */
class Answering implements AnswerPort {
  private readonly channel: BroadcastChannel
  private readonly beat: ReturnType<typeof setInterval>
  private isClosed = false

  constructor(name: string, private readonly end: AbortSignal) {
    this.channel = new BroadcastChannel(name)
    this.beat = setInterval(() => this.postMessage({ kind: 'taken', isConnected: true }), BEAT)
    end.addEventListener('abort', this.stop)
  }

  private readonly stop = (): void => clearInterval(this.beat)

  set onmessage(take: AnswerPort['onmessage']) {
    this.channel.onmessage = take
  }

  postMessage(said: MeshAnswer): void {
    // Who does not want it any more has closed it, and may still be failed by what was under way.
    if (!this.end.aborted && !this.isClosed) this.channel.postMessage(said)
  }

  close(): void {
    this.isClosed = true
    this.stop()
    this.end.removeEventListener('abort', this.stop)
    this.channel.close()
  }
}

/** An answer, piece by piece. */
interface Source {
  readonly status: number
  readonly headers: Headers
  next(): Promise<Uint8Array | undefined>
  stop(): void
}

/** An answer of this tab. */
class OwnSource implements Source {
  private readonly reader: ReadableStreamDefaultReader<Uint8Array> | undefined

  constructor(private readonly response: Response) {
    this.reader = response.body?.getReader()
  }

  get status(): number {
    return this.response.status
  }

  get headers(): Headers {
    return this.response.headers
  }

  async next(): Promise<Uint8Array | undefined> {
    return (await this.reader?.read())?.value
  }

  stop(): void {
    void this.reader?.cancel()
  }
}

/** An answer of another tab. */
class ForeignSource implements Source {
  status = 0
  headers = new Headers()
  private readonly port: BroadcastChannel
  /** What has come and has not been asked for here, and who waits for it. */
  private readonly said: MeshAnswer[] = []
  private waiting: { resolve(said: MeshAnswer): void; reject(error: unknown): void } | undefined
  private failure: { error: unknown } | undefined
  private readonly patience = new Patience(() => this.fail(silence()), PATIENCE)

  constructor(
    name: string,
    private readonly asked: Set<(error?: unknown) => void>,
    private readonly signal: AbortSignal,
  ) {
    this.port = new BroadcastChannel(name)
    asked.add(this.lose)
    signal.addEventListener('abort', this.abort)
    this.port.onmessage = ({ data }: MessageEvent<MeshAnswer>) => {
      this.patience.renew(SILENCE)
      if (data.kind === 'taken') return
      // After these nothing more is said.
      if (data.kind === 'end' || data.kind === 'failed') this.patience.end()
      if (this.waiting === undefined) this.said.push(data)
      this.waiting?.resolve(data)
      this.waiting = undefined
    }
  }

  /** Waits for the status and headers. */
  async head(): Promise<void> {
    const said = await this.heard()
    if (said.kind !== 'head') throw this.end(new TypeError('an answer began without its head'))
    this.status = said.status
    this.headers = new Headers(said.headers)
  }

  async next(): Promise<Uint8Array | undefined> {
    this.say('more')
    const said = await this.heard()
    if (said.kind === 'piece') return said.bytes
    if (said.kind === 'end') return this.end(undefined)
    throw this.end(new TypeError('an answer went on with something else'))
  }

  /** What is said next; throws what it says went wrong. */
  private async heard(): Promise<MeshAnswer> {
    if (this.failure !== undefined) throw this.failure.error
    const said = this.said.shift()
      ?? await new Promise<MeshAnswer>((resolve, reject) => { this.waiting = { resolve, reject } })
    if (said.kind !== 'failed') return said
    // This side has paused, and goes on now.
    throw this.end(said.isIdle === true ? LOST : toldError(said.fault))
  }

  private readonly lose = (error: unknown = LOST): void => this.fail(error)

  private readonly abort = (): void => {
    this.say('stop')
    this.fail(this.signal.reason)
  }

  private say(demand: MeshDemand): void {
    if (this.failure === undefined) this.port.postMessage(demand)
  }

  private fail(error: unknown): void {
    this.end(error)
    this.failure ??= { error }
    this.waiting?.reject(error)
    this.waiting = undefined
  }

  /** Nothing more is said; answers what it is given. */
  private end<Value>(value: Value): Value {
    this.asked.delete(this.lose)
    this.signal.removeEventListener('abort', this.abort)
    this.patience.end()
    this.port.close()
    return value
  }

  stop(): void {
    this.say('stop')
    this.fail(new DOMException('the answer is not wanted any more', 'AbortError'))
  }
}
