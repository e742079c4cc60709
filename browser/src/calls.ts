// Calls of contracts: `weft://CID/method?query`. This part of Weft is loaded when it is first needed.
// Its module (weft-calls.wasm) speaks the protocol over streams of the page's peer, chooses who is
// asked, and checks what comes; contracts run in workers.

import { recordOf, refusal, responseTo } from './answers.js'
import type { CallRecord, MeshOptions } from './contracts.js'
import { Core, text, utf8 } from './core.js'
import { networkError, WeftError, WeftErrorCode } from './errors.js'
import type { NodeContracts } from './options.js'
import { lines, pack, unpack } from './parts.js'
import { STAYING } from './pieces.js'
import { LONGEST_WAIT, Turns } from './turns.js'
import type { Work, WorkContent, WorkEnd } from './work.js'
import { Workers } from './workers.js'

/** What calls use of the page's peer. */
export interface CallsHost {
  /** The 32 bytes that the peer's identity is made of. */
  readonly seed: Uint8Array
  readonly now: () => number
  /** How many peers are connected. */
  readonly peerCount: () => number
  readonly isDialling: () => boolean
  /** Whether peers are given anything now. */
  readonly isServing: () => boolean
  /** Dials if nobody is connected; answers whether somebody is. */
  someone(signal: AbortSignal): Promise<boolean>
  /** Calls a function of the peer's module. */
  run(name: string, ...parameters: (number | Uint8Array)[]): void
  ask(name: string, ...parameters: (number | Uint8Array)[]): Uint8Array
  /**
   * Reads a file whole, up to so many bytes, a folder's names, or a block of another kind. That a page has
   * what a peer has it read it tells nobody.
   */
  read(
    cid: string, names: readonly string[], limit: number, signal: AbortSignal, isForPeer?: boolean,
  ): Promise<WorkContent>
  tell(name: 'liar' | 'served' | 'refuted', detail: object): void
}

/** What the peer's module tells of peers and streams (PageStreamExports.swift). */
const enum Told {
  speaks = 20,
  left = 21,
  accepted = 24,
}

/** What the module for calls wants and tells (CallExports.swift). */
const enum Wish {
  open = 1,
  send = 2,
  finish = 3,
  reset = 4,
  run = 5,
  stop = 6,
  load = 7,
  replay = 8,
  answered = 9,
  failed = 10,
  liar = 11,
  refuted = 12,
}

/** How long is waited until connected peers have said whether they run calls, in milliseconds. */
const INTRODUCTION = 2000
/** How long a page may take to run a call, and its gas, if nobody says. */
const TIME = 60_000
/** How long it may take to tell whether something is a proof. */
const PROOF_TIME = 10_000
/** How many answers are remembered that may turn out to be wrong. */
const MAX_SHOWN = 256
/** How long it may take to get the records below an answer, in milliseconds. */
const LOAD_TIME = 30_000
/** How long the module may take to say that there is no answer in time, in milliseconds. */
const LATE = 100
/** How much longer an answer is waited for, so that a run here has come to its end. */
const GRACE = 1000
const GAS = 10_000_000_000
/** The most bytes of a request's body, and of what a call reads. */
const MAX_INPUT = 64 << 20
/** Longer bodies are files. */
const MAX_INLINE = 32 << 10
/** The longest record, in bytes. */
const MAX_RECORD = 512 << 10
/** What is assumed of this machine's speed before anything has run, in gas a second. */
const USUAL_SPEED = 500_000_000
/** What is assumed of how long a call runs here, in milliseconds. */
const USUAL_RUN = 100
/** How much longer or shorter the queue has become when peers are told of it, in milliseconds. */
const QUEUE_STEP = 500
/** Runs with so much gas tell how fast the machine is. */
const TELLING_GAS = 5_000_000
/** How long it takes, about, until a contract can run that is not here, in milliseconds. */
const LOADING = 500
/** How many contracts are remembered to have run here. */
const MAX_KNOWN = 256

/** What became of records that were to be got (CallExports.swift). */
const enum Loaded {
  withheld = 0,
  whole = 1,
  unknown = 2,
}

interface Waiting {
  readonly resolve: (answer: { record: Uint8Array; told: string[] }) => void
  readonly reject: (error: unknown) => void
}

/** A call of the page that is run here: how many wait for it, and what became of it. */
interface Underway {
  waiting: number
  end?: WorkEnd
  own?: { record: string; body: Uint8Array }
}

/** The calls of a page. */
export class Calls {
  private core!: Core
  /** The workers for the page itself, and those for peers, who never keep the page waiting. */
  private workers!: Workers
  private visiting!: Workers
  private protocol = ''
  private readonly turns = new Turns(
    () => this.core.run('calls_deadline'), () => this.run('calls_advance'), () => this.host.now())
  private readonly waiting = new Map<number, Waiting>()
  /** What takes back the runs that are under way, by their orders. */
  private readonly stops = new Map<number, () => void>()
  /** The peers that have said what they speak, and whether that is this. */
  private readonly peers = new Map<string, boolean>()
  private readonly arrivals = new Set<() => void>()
  /** The contracts that have run here. */
  private readonly known = new Set<string>()
  /**
   * Why calls of the page that were run here have no record, or the long body that they answered, by
   * their identities, as long as somebody waits for them.
   */
  private readonly ends = new Map<string, Underway>()
  /** The answers that were given out last, by their calls. */
  private readonly shown = new Map<number, { url: string; record: string }>()
  private speed = USUAL_SPEED
  /** How long a call takes here, in milliseconds. */
  private runTime = USUAL_RUN
  /** What peers were told of both last. */
  private told = { speed: USUAL_SPEED, queue: 0 }
  private nextCall = 1
  private isStopped = false
  /** Whether contracts are run for peers. */
  private isServing = false
  /** Whether what runs contracts could be loaded, as far as that was tried. */
  private isAble = true
  private staying: ReturnType<typeof setTimeout> | undefined
  readonly counts = { own: 0, served: 0, gasServed: 0 }

  private constructor(
    private readonly host: CallsHost,
    private readonly options: NodeContracts,
  ) {}

  /** Loads the module, and lets the peer speak the protocol. */
  static async start(
    host: CallsHost, options: NodeContracts, started: (calls: Calls) => void,
  ): Promise<Calls> {
    const calls = new Calls(host, options)
    calls.core = await Core.load(options.module!, {
      send: () => true,
      event: (kind, subject, number, bytes) => {
        calls.turns.add(() => calls.take(kind as number, subject, number, bytes))
      },
      failed: cause => calls.end(cause),
    }, options.further)
    // Who runs contracts for others needs the rest at once, and a page that stays has it later.
    if (options.serve) await calls.beginServing()
    else calls.staying = setTimeout(() => { calls.core.whole().catch(() => {}) }, STAYING)
    const makeWorkers = (isForPeer: boolean): Workers => new Workers(
      options.worker!, () => calls.core.modules, calls.slots,
      (cid, names, signal) => host.read(cid, names, MAX_INPUT, signal, isForPeer))
    calls.workers = makeWorkers(false)
    calls.visiting = makeWorkers(true)
    const secret = crypto.getRandomValues(new Uint8Array(32))
    const epoch = (Date.now() - host.now()) / 1000
    const slots = calls.isServing ? calls.slots : 0
    const told = calls.core.ask(
      'calls_start', new Uint8Array([...host.seed, ...secret]), calls.speed, slots, epoch)
    const [protocol, limit] = lines(told)
    calls.protocol = protocol!
    started(calls)
    host.run('bring', utf8(protocol!), Number(limit), slots > 0 ? 1 : 0, host.now())
    return calls
  }

  /** Runs contracts for peers from now on; not if the rest, which that takes, is not to be had. */
  private async beginServing(): Promise<void> {
    try {
      await this.core.whole()
      this.isServing = true
    } catch (error) {
      this.isAble = false
      console.warn(`Weft runs no contracts for peers, as what that takes is not to be had: ${
        (error as Error).message}`)
    }
  }

  private get slots(): number {
    const cores = navigator.hardwareConcurrency || 2
    return Math.max(1, Math.min(this.options.workers ?? Math.min(4, cores - 1), 16))
  }

  // MARK: Calls of the page

  /** Answers a request for `weft:`, within its time. */
  async fetch(request: Request, mesh: MeshOptions = {}): Promise<Response> {
    checkNumbers(mesh)
    const patience = mesh.deadline ?? (this.options.time ?? TIME) + GRACE
    const end = this.host.now() + patience
    // The module gives up first, and knows what was tried.
    const late = new WeftError('deadline', `there was no whole answer within ${patience} ms`, [])
    const limit = new AbortController()
    const stop = (): void => limit.abort(request.signal.reason)
    const timer = setTimeout(() => limit.abort(late), patience + LATE)
    request.signal.addEventListener('abort', stop)
    if (request.signal.aborted) stop()
    try {
      const answer = this.answer(request, mesh, limit.signal, end)
      return await Promise.race([answer, rejection(limit.signal)])
    } catch (error) {
      throw error === late ? networkError(request.url, late) : error
    } finally {
      clearTimeout(timer)
      request.signal.removeEventListener('abort', stop)
    }
  }

  private async answer(
    request: Request, mesh: MeshOptions, signal: AbortSignal, finish: number,
  ): Promise<Response> {
    const { url } = request
    let audit = auditNumber(mesh.audit ?? 'sample')
    const body = new Uint8Array(await request.arrayBuffer())
    if (body.length > MAX_INPUT) throw new TypeError(`the body is longer than ${MAX_INPUT} bytes`)
    const canRun = this.options.run && (this.isAble || audit === SELF)
    const isLong = body.length > MAX_INLINE
    if (isLong && !this.host.isServing()) {
      // Peers would have to get the body from here, and are given nothing.
      if (!canRun) {
        throw networkError(url, new WeftError(
          'resource', 'peers get a body of more than 32 KiB from pages with serve alone', []))
      }
      audit = SELF
    }
    const mayAsk = audit !== SELF
    if (mayAsk || !canRun) {
      // A quorum is of several, which have the numbers from three on.
      await this.introductions(Math.max(canRun ? 0 : 1, audit - 1), signal)
    }
    signal.throwIfAborted()
    this.checkIsRunning()
    const argument = pack([
      url, request.method === 'HEAD' ? 'GET' : request.method,
      [...request.headers].map(([name, value]) => `${name}:${value}`).join('\n'),
      isLong ? '' : body, isLong ? await this.keepFile(body) : '',
    ])
    const contract = new URL(url).host
    const patience = Math.max(0, finish - this.host.now())
    const queue = (this.known.has(contract) ? 0 : LOADING) + this.workers.backlog * 100
    const number = this.nextCall++
    const answer = new Promise<{ record: Uint8Array; told: string[] }>((resolve, reject) => {
      this.waiting.set(number, { resolve, reject })
    })
    const abort = (): void => {
      this.waiting.get(number)?.reject(signal.reason)
      this.run('calls_cancel', number)
    }
    answer.catch(() => {})
    signal.addEventListener('abort', abort)
    let identity = ''
    try {
      identity = text(this.core.ask(
        'call', number, argument, this.options.gas ?? GAS, audit,
        mesh.maxPrice ?? 2000, mesh.value ?? 0, patience, canRun ? this.speed : 0, queue,
        this.host.now()))
    } catch (error) {
      this.waiting.delete(number)
      throw new TypeError(`${url}: ${(error as Error).message}`)
    }
    const entry: Underway = this.ends.get(identity) ?? { waiting: 0 }
    this.ends.set(identity, entry)
    entry.waiting += 1
    this.turns.settle()
    try {
      const { record, told } = await answer
      this.counts.own += 1
      const parts = recordOf(this.core.ask('record_parts', record))
      this.show(number, { url, record: parts.cid })
      return await responseTo(request, parts, told, async cid => {
        // What was run here need not be kept, and found again.
        if (entry.own?.record === parts.cid) return entry.own.body
        const found = await this.host.read(cid, [], MAX_INPUT, signal)
        return found.kind === 'file' ? found.bytes : undefined
      })
    } catch (error) {
      if (!(error instanceof WeftError)) throw error
      const { end } = entry
      if (end?.kind === 'unanswered') {
        const message = end.status === 404 ? 'the contract has no such method' : 'this is no contract'
        return refusal(request, end.status, message)
      }
      if (end?.kind !== 'none') throw networkError(url, error)
      const isAlone = error.code === 'unreachable' && error.trace.length === 1
      const code = isAlone || audit === SELF ? end.code : error.code
      const trace = [...error.trace, `self: ${end.reason}`]
      throw networkError(url, new WeftError(code, error.what, trace))
    } finally {
      entry.waiting -= 1
      if (entry.waiting === 0) this.ends.delete(identity)
      this.waiting.delete(number)
      signal.removeEventListener('abort', abort)
    }
  }

  /** Waits until so many peers that run calls are known, or there is nobody else to ask. */
  private async introductions(needed: number, signal: AbortSignal): Promise<void> {
    const { host, peers } = this
    const isReady = (): boolean =>
      [...peers.values()].filter(runsCalls => runsCalls).length >= needed
    if (isReady()) return
    await host.someone(signal)
    const end = host.now() + INTRODUCTION
    const isIncomplete = (): boolean => host.isDialling() || peers.size < host.peerCount()
    while (!isReady() && isIncomplete() && host.now() < end) {
      await new Promise<void>(resolve => {
        const done = (): void => {
          clearTimeout(timer)
          this.arrivals.delete(done)
          resolve()
        }
        const timer = setTimeout(done, Math.max(0, end - host.now()))
        this.arrivals.add(done)
      })
    }
  }

  /** What is known of a call by its record. */
  async record(cid: string, signal: AbortSignal): Promise<CallRecord> {
    const found = await this.host.read(cid, [], MAX_RECORD, signal)
    if (found.kind !== 'file') throw new TypeError(`${cid} is no record of a call`)
    const record = recordOf(this.core.ask('record_parts', found.bytes))
    const call = unpack(this.core.ask('call_parts', record.call))
    const { status, gas, ownGas, reads, children } = record
    return {
      cid, url: lines(call[0])[0]!, method: text(call[1]!),
      outcome: record.outcome as CallRecord['outcome'], ...(status === undefined ? {} : { status }),
      gas, ownGas, reads, children,
    }
  }

  // MARK: What the module wants

  private take(kind: number, subject: number, number: number, bytes: Uint8Array): void {
    const { host } = this
    switch (kind) {
      case Wish.open: return host.run('stream_open', subject, bytes, host.now())
      case Wish.send: return host.run('stream_send', number, bytes, host.now())
      case Wish.finish: return host.run('stream_finish', number, host.now())
      case Wish.reset: return host.run('stream_reset', number, host.now())
      case Wish.run: return this.runCall(number, bytes)
      case Wish.stop:
        this.stops.get(number)?.()
        this.stops.delete(number)
        return
      case Wish.load: return void this.load(number, lines(bytes))
      case Wish.replay: return this.replay(number, unpack(bytes), subject === 1)
      case Wish.answered: {
        const [record, told] = unpack(bytes)
        return this.waiting.get(subject)?.resolve({ record: record!, told: lines(told) })
      }
      case Wish.failed: {
        const [code, message, ...trace] = lines(bytes)
        const error = new WeftError(code as WeftErrorCode, message!, trace)
        return this.waiting.get(subject)?.reject(error)
      }
      case Wish.liar: return host.tell('liar', { peer: text(bytes) })
      case Wish.refuted: return this.refuted(subject, bytes)
    }
  }

  /** Remembers an answer that was given out, which may turn out to be wrong. */
  private show(number: number, answer: { url: string; record: string }): void {
    if (this.shown.size >= MAX_SHOWN) this.shown.delete([...this.shown.keys()][0]!)
    this.shown.set(number, answer)
  }

  private refuted(number: number, right: Uint8Array): void {
    const answer = this.shown.get(number)
    if (answer === undefined) return
    this.shown.delete(number)
    const record = right.length > 0
      ? recordOf(this.core.ask('record_parts', right)).cid : undefined
    this.host.tell('refuted', { ...answer, ...(record !== undefined && { right: record }) })
  }

  private runCall(order: number, bytes: Uint8Array): void {
    const [call, peer] = unpack(bytes)
    const [url, contract, , , identity] = lines(unpack(this.core.ask('call_parts', call!))[0])
    if (peer!.length > 0 && !this.host.isServing()) return this.run('ran', order, new Uint8Array())
    const workers = peer!.length === 0 ? this.workers : this.visiting
    this.begin(workers, order, { call: call!, isForPeer: peer!.length > 0 }, end => {
      if (end.kind !== 'record') {
        const entry = peer!.length === 0 ? this.ends.get(identity!) : undefined
        if (entry !== undefined) entry.end = end
        this.run('ran', order, new Uint8Array())
        return
      }
      this.note(contract!, end.gas, end.milliseconds)
      const waiting = peer!.length === 0 ? this.ends.get(identity!) : undefined
      if (waiting !== undefined && end.body !== undefined) {
        const record = recordOf(this.core.ask('record_parts', end.record)).cid
        waiting.own = { record, body: end.body }
      }
      for (const { cid, block } of end.blocks) this.host.ask('keep', cid, block)
      this.run('ran', order, end.record)
      if (peer!.length === 0) return
      this.counts.served += 1
      this.counts.gasServed += end.gas
      const { outcome } = recordOf(this.core.ask('record_parts', end.record))
      this.host.tell('served', { url, peer: text(peer!), gas: end.gas, outcome })
    })
  }

  /** What a run tells of this machine's speed. */
  private note(contract: string, gas: number, time: number): void {
    if (this.known.size >= MAX_KNOWN) this.known.clear()
    this.known.add(contract)
    this.runTime = (this.runTime * 7 + time) / 8
    if (gas >= TELLING_GAS) this.speed = (this.speed * 7 + gas * 1000 / Math.max(time, 1)) / 8
    this.offer()
  }

  /** Tells peers how fast this page is, and how long they would wait, if that has changed much. */
  private offer(): void {
    if (!this.isServing) return
    const queue = this.visiting.backlog * this.runTime / this.slots
    const hasChanged = Math.abs(this.speed - this.told.speed) >= this.told.speed / 4
      || Math.abs(queue - this.told.queue) >= Math.max(QUEUE_STEP, this.told.queue / 4)
    if (!hasChanged) return
    this.told = { speed: this.speed, queue }
    this.run('calls_offer', this.speed, this.slots, queue)
  }

  private begin(
    workers: Workers, order: number, work: Work, done: (end: WorkEnd) => void,
  ): void {
    if (this.options.run === false && !this.isServing) {
      return done({
        kind: 'none', code: 'resource', reason: 'contracts do not run here',
      })
    }
    if (workers === this.visiting) this.offer()
    const time = this.options.time ?? TIME
    const most = work.isForPeer === true && work.recorded !== undefined ? PROOF_TIME : time
    const finish = (end: WorkEnd): void => {
      this.stops.delete(order)
      if (!this.isStopped) done(end)
    }
    let isWanted = true
    this.stops.set(order, () => { isWanted = false })
    this.core.whole().then(() => {
      this.isAble = true
      if (isWanted) this.stops.set(order, workers.run(work, Math.min(time, most), finish))
    }, (cause: Error) => {
      this.isAble = false
      if (isWanted) finish({ kind: 'none', code: 'resource', reason: cause.message })
    })
  }

  private replay(order: number, records: Uint8Array[], forPeer: boolean): void {
    if (forPeer && !(this.isServing && this.host.isServing())) {
      // Whether that is a proof is for others to tell.
      return this.run('replayed', order, new Uint8Array(), 0)
    }
    const [record, ...recorded] = records
    const call = unpack(this.core.ask('record_parts', record!))[5]!
    const workers = forPeer ? this.visiting : this.workers
    this.begin(workers, order, { call, recorded, isForPeer: forPeer }, end => {
      const result = end.kind === 'record' ? end.record : new Uint8Array()
      const hasStrayed = end.kind === 'strayed' || end.kind === 'unanswered'
      this.run('replayed', order, result, hasStrayed ? 1 : 0)
    })
  }

  private async load(order: number, [, ...cids]: string[]): Promise<void> {
    const abort = new AbortController()
    const timer = setTimeout(() => abort.abort(), LOAD_TIME)
    try {
      const found = await Promise.all(
        cids.map(cid => this.host.read(cid, [], MAX_RECORD, abort.signal)))
      const blocks = found.map(
        content => (content.kind === 'file' ? content.bytes : new Uint8Array()))
      this.run('loaded', order, pack(blocks), Loaded.whole)
    } catch (error) {
      // Who has committed to them may not give them out, or this page may be what lacks something.
      const code = ((error as Error).cause as WeftError | undefined)?.code ?? (error as WeftError).code
      const isWithheld = code === 'absent' && this.host.peerCount() > 0
      if (!this.isStopped) {
        this.run('loaded', order, pack([]), isWithheld ? Loaded.withheld : Loaded.unknown)
      }
    } finally {
      clearTimeout(timer)
    }
  }

  /** Keeps a file; answers its CID. */
  private async keepFile(bytes: Uint8Array): Promise<string> {
    await this.core.whole()
    const parts = unpack(this.core.ask('file_blocks', bytes))
    for (let index = 1; index < parts.length; index += 2) {
      this.host.ask('keep', parts[index]!, parts[index + 1]!)
    }
    return text(parts[0]!)
  }

  // MARK: What the peer tells

  /** Takes what happened to streams and peers. */
  stream(kind: number, subject: number, number: number, bytes: Uint8Array): void {
    if (kind !== Told.speaks && kind !== Told.left) {
      // A peer opens streams with the protocols that are offered, of which there is one.
      const argument = kind === Told.accepted ? utf8(lines(bytes)[0]!) : bytes
      return this.run('calls_stream', kind, subject, number, argument)
    }
    const [peer, ...protocols] = lines(bytes)
    if (kind === Told.left) this.peers.delete(peer!)
    else this.peers.set(peer!, protocols.includes(this.protocol))
    this.run('calls_note', utf8(peer!), this.peers.get(peer!) === true ? 1 : 0)
    for (const arrive of [...this.arrivals]) arrive()
  }

  private run(name: string, ...parameters: (number | Uint8Array)[]): void {
    this.core.run(name, ...parameters, this.host.now())
    this.turns.settle()
  }

  /** Whether nothing can be called any more, because the module has failed or everything has ended. */
  get isOver(): boolean {
    return this.isStopped
  }

  private checkIsRunning(): void {
    if (this.isStopped) throw new TypeError('this Weft has been stopped')
  }

  /** Ends all calls. */
  end(reason: unknown): void {
    if (this.isStopped) return
    this.isStopped = true
    clearTimeout(this.staying)
    this.turns.stop()
    this.workers?.stop()
    this.visiting?.stop()
    for (const { reject } of [...this.waiting.values()]) reject(reason)
  }
}

/** Never resolved, and rejected when the signal says so. */
function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) return reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

/** Refuses numbers that the module would take for others. */
function checkNumbers(mesh: MeshOptions): void {
  const most = { maxPrice: 0xffff_ffff, value: Number.MAX_SAFE_INTEGER, deadline: LONGEST_WAIT }
  for (const [name, limit] of Object.entries(most)) {
    const value = mesh[name as keyof typeof most] ?? 0
    if (value >= 0 && value <= limit) continue
    throw new TypeError(`mesh.${name} is to be a number from 0 to ${limit}, not ${value}`)
  }
}

/** The number of the check by which the page runs the call. */
const SELF = 2

/** How answers are checked, as the module numbers it. */
function auditNumber(audit: string): number {
  const known = ['none', 'sample', 'self'].indexOf(audit)
  if (known >= 0) return known
  const peers = Number(/^quorum:([1-9][0-9]?)$/.exec(audit)?.[1])
  if (peers >= 2 && peers <= 16) return peers + 1
  throw new TypeError(`audit is none, sample, self or quorum:2 to quorum:16, not ${audit}`)
}
