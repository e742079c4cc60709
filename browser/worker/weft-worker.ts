// A worker that runs contracts on the browser's engine. What a contract reads has to be here when it
// does: if it is not, the page is asked for it, and the call is run again from its beginning, which
// changes nothing. What it called before is then known.

import {
  answers, bytesContent, contractOf, NoMemory, Outcome, Resource, runCall,
} from '../../contracts/host/contract.mjs'
import { callIdentity, identity, recordBlock } from '../../contracts/host/identity.mjs'
import { Core, OutOfMemory, text, utf8 } from '../src/core.js'
import { WeftError } from '../src/errors.js'
import { lines, pairs, unpack } from '../src/parts.js'
import type { Work, WorkAnswer, WorkBlock, WorkContent, WorkEnd, WorkOrder } from '../src/work.js'

declare const self: DedicatedWorkerGlobalScope

/** The longest module, in bytes; the most that are kept compiled. */
const MAX_MODULE = 4 << 20
const MAX_COMPILED = 16
/** The most activations of a call. */
const MAX_ACTIVATIONS = 10_000
/**
 * The bytes that a call reads, the bytes that all it calls answer, and the memory of those that wait for
 * others.
 */
const MAX_INPUT = 64 << 20
const MAX_OUTPUT = 128 << 20
const MAX_MEMORY = 512 << 20
/** Longer bodies are not in calls and records, but named by them. */
const MAX_INLINE = 32 << 10
/**
 * How long memory is waited for, and how often it is looked for, in milliseconds. A browser reserves
 * gigabytes of addresses for each instance, so that there are a hundred or so in a process; and it lets a
 * worker that was ended in the middle of a contract run on for two seconds, with all that it has.
 */
const PATIENCE = 5_000
const PAUSE = 100

/** Something that has to come from the page. */
class Missing extends Resource {
  constructor(readonly cid: string, readonly names: readonly string[]) {
    super(`${[cid, ...names].join('/')} is not here`)
  }
}

/** The call did other things than were recorded. */
class Strayed extends Resource {}

/** What the host says of a call that is over; all but the first two if it ended well. */
interface Answer {
  readonly outcome: number
  readonly gas: bigint
  readonly status: number
  readonly headers: [string, string][]
  readonly body?: Uint8Array
  record?: Uint8Array
}
type Activation = Parameters<typeof recordBlock>[1] & { readonly memory?: WebAssembly.Memory }
type Call = Parameters<typeof runCall>[1]
type Contract = ReturnType<typeof contractOf>

let core: Core
let content: ((content: WorkContent) => void) | undefined
const compiled = new Map<string, Contract | undefined>()

const hex = (bytes: Uint8Array): string => [...bytes].map(byte => byte.toString(16)).join('.')
const sha256 = (bytes: Uint8Array): Uint8Array => core.ask('hash', bytes)
/** Nothing, if the module has said no; a module that has failed or lacks memory says nothing. */
function notSaid(error: unknown): undefined {
  if (error instanceof WeftError || error instanceof OutOfMemory) throw error
  return undefined
}

const cidText = (name: string): string | undefined => {
  try {
    return text(core.ask('cid', utf8(name)))
  } catch (error) {
    return notSaid(error)
  }
}

/** One call that is run. */
class Run {
  private readonly contents = new Map<string, WorkContent>()
  /** The answers of what it called, by the identity of the call. */
  private readonly known = new Map<string, Answer>()
  private blocks: WorkBlock[] = []
  private activations = 0
  private input = 0
  private output = 0
  /** Those that have begun and not ended. */
  private open: Activation[] = []
  /** What of the recorded calls comes next. */
  private nextRecorded = 0

  /** What a peer may use is so many times less. */
  private readonly share: number

  constructor(private readonly work: Work) {
    this.share = work.isForPeer === true ? 4 : 1
  }

  async end(): Promise<WorkEnd> {
    const call = this.callOf(this.work.call)
    for (;;) {
      try {
        this.nextRecorded = 0
        this.open = []
        const begun = performance.now()
        const answer = runCall(this, call) as Answer
        return this.result(answer, performance.now() - begun)
      } catch (error) {
        if (error instanceof Strayed) return { kind: 'strayed' }
        if (!(error instanceof Missing)) throw error
        const { cid, names } = error
        const found = await need(cid, names)
        if (found.kind === 'file') this.input += found.bytes.length
        if (this.input > MAX_INPUT / this.share) throw new Resource('it reads too much')
        this.contents.set([cid, ...names].join('/'), found)
      }
    }
  }

  private result(answer: Answer, milliseconds: number): WorkEnd {
    if (answer.record === undefined) return { kind: 'unanswered', status: answer.status }
    const { recorded } = this.work
    if (recorded !== undefined && this.nextRecorded < recorded.length) return { kind: 'strayed' }
    const record = this.blocks[this.blocks.length - 1]!.block
    const { body } = answer
    const isLong = this.work.isForPeer !== true && body instanceof Uint8Array && body.length > MAX_INLINE
    return {
      kind: 'record', record, blocks: this.blocks, body: isLong ? body : undefined,
      gas: Number(answer.gas), milliseconds,
    }
  }

  // What the host of contracts asks for.

  readonly sha256 = sha256
  readonly cid = cidText

  contract(cid: string): Contract | undefined {
    if (!compiled.has(cid)) {
      const module = this.find(cid, [])
      const contract = module.kind === 'file' ? compile(module.bytes) : undefined
      if (compiled.size >= MAX_COMPILED) compiled.delete([...compiled.keys()][0]!)
      compiled.set(cid, contract)
      this.contents.delete(cid)
    }
    return compiled.get(cid)
  }

  content(cid: string): object { return new Content(this, cid, []) }

  answered(call: Call): Answer | undefined {
    if (this.work.recorded !== undefined) return this.recorded(call)
    return this.known.get(hex(callIdentity(sha256, call)))
  }

  started(activation: Activation): void {
    this.open.push(activation)
    const memory = this.open.reduce(
      (sum, { memory }) => sum + (memory?.buffer.byteLength ?? 0), 0)
    if (memory > MAX_MEMORY / this.share) throw new Resource(`it and what it calls take ${memory} bytes`)
  }

  finished(activation: Activation, answer: Answer): void {
    // One that has not the gas for an instance has never begun.
    if (this.open[this.open.length - 1] === activation) this.open.pop()
    this.activations += 1
    if (this.activations > MAX_ACTIVATIONS) throw new Resource(`more than ${MAX_ACTIVATIONS} calls`)
    this.output += answer.body?.length ?? 0
    if (this.output > MAX_OUTPUT / this.share) throw new Resource('its answers are too long')
    const block = recordBlock(sha256, activation, answer)
    answer.record = identity(sha256, block)
    const { call } = activation
    if (call.body.size > MAX_INLINE && call.body.cid === undefined) {
      this.keepFile(call.body.read(0, call.body.size))
    }
    if (answer.body !== undefined && answer.body.length > MAX_INLINE) this.keepFile(answer.body)
    this.blocks.push({ cid: answer.record, block })
    this.known.set(hex(callIdentity(sha256, call)), answer)
  }

  private keepFile(bytes: Uint8Array): void {
    const parts = unpack(core.ask('file_blocks', bytes))
    for (let index = 1; index < parts.length; index += 2) {
      this.blocks.push({ cid: parts[index]!.slice(), block: parts[index + 1]!.slice() })
    }
  }

  /** What a recorded call answered. */
  private recorded(call: Call): Answer | undefined {
    const block = this.work.recorded?.[this.nextRecorded]
    const parts = block && unpack(core.ask('record_parts', block))
    if (parts !== undefined && hex(callIdentity(sha256, call)) === hex(identity(sha256, parts[5]!))) {
      this.nextRecorded += 1
      return this.answerOf(block!, parts)
    }
    // What calls nothing leaves no record.
    if (answers(this.contract(call.contract), call)) throw new Strayed('another call')
    return undefined
  }

  private answerOf(block: Uint8Array, parts: Uint8Array[]): Answer {
    const [, word, status, gas, , cid] = lines(parts[0])
    const record = identity(sha256, block)
    const outcome = { ok: 0, 'out-of-gas': 1, 'stack-exhausted': 2 }[word!] ?? Outcome.trap
    const body = cid ? new Content(this, cid, []) : parts[2]!.slice()
    return {
      outcome, gas: BigInt(gas!), status: Number(status), headers: pairs(parts[1]!),
      body: body as Uint8Array, record,
    }
  }

  /** A call in the form in which it is hashed, for the host. */
  private callOf(bytes: Uint8Array): Call {
    const parts = unpack(core.ask('call_parts', bytes))
    const [, contract, gas, cid] = lines(parts[0])
    return {
      contract, gas: BigInt(gas!), method: text(parts[1]!), path: text(parts[2]!),
      query: text(parts[3]!), headers: new Map(pairs(parts[4]!)),
      body: cid ? new Content(this, cid, [], cid) : bytesContent(parts[5]!.slice()),
    } as Call
  }

  /** What a name leads to. */
  find(cid: string, names: readonly string[]): WorkContent {
    const found = this.contents.get([cid, ...names].join('/'))
    if (found === undefined) throw new Missing(cid, names)
    return found
  }
}

/** A file or a folder that is looked for when something of it is wanted. */
class Content {
  constructor(
    private readonly run: Run, private readonly root: string,
    private readonly names: readonly string[],
    /** What calls name it by. */
    readonly cid?: string,
  ) {}

  private get found(): WorkContent {
    const found = this.run.find(this.root, this.names)
    // What a folder names and is neither file nor folder, as a link, is seen otherwise on a node.
    if (this.names.length > 0 && found.kind === 'nothing') throw new Resource('a link in a folder')
    return found
  }

  get size(): number { return this.found.kind === 'file' ? this.found.bytes.length : 0 }

  get read(): ((offset: number, count: number) => Uint8Array) | undefined {
    const { found } = this
    if (found.kind !== 'file') return undefined
    return (offset, count) => found.bytes.subarray(offset, offset + count)
  }

  get entries(): object | undefined {
    const { found, run, root, names } = this
    if (found.kind !== 'folder') return undefined
    const content = (name: string): Content => new Content(run, root, [...names, name])
    return {
      get: (name: string) => (found.names.includes(name) ? content(name) : undefined),
      [Symbol.iterator]: () => found.names.map(name => [name, content(name)])[Symbol.iterator](),
    }
  }
}

/** A contract, or nothing if the rules refuse the module. */
function compile(module: Uint8Array): Contract | undefined {
  if (module.length > MAX_MODULE) return undefined
  let answer: Uint8Array
  try {
    answer = core.ask('contract_instrument', module)
  } catch (error) {
    return notSaid(error)
  }
  const gas = new DataView(answer.buffer, answer.byteOffset).getBigUint64(0, true)
  return contractOf(answer.subarray(8), gas)
}

const say = (answer: WorkAnswer): void => self.postMessage(answer)

/** Asks the page for content. */
function need(cid: string, names: readonly string[]): Promise<WorkContent> {
  return new Promise(resolve => {
    content = resolve
    say({ kind: 'need', cid, names })
  })
}

/** Does something; while there is no memory for it, again. */
async function patiently<Value>(attempt: () => Promise<Value>): Promise<Value> {
  let end = Infinity
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      end = Math.min(end, performance.now() + PATIENCE)
      const lacksMemory = error instanceof NoMemory || error instanceof RangeError
      if (!lacksMemory || performance.now() >= end) throw error
    }
    await new Promise(resolve => setTimeout(resolve, PAUSE))
  }
}

async function run(work: Work): Promise<void> {
  let end: WorkEnd
  try {
    await started
    const begun = new Run(work)
    end = await patiently(() => begun.end())
  } catch (error) {
    end = { kind: 'none', code: 'resource', reason: (error as Error).message }
  }
  say({ kind: 'end', end })
}

async function begin([first, ...further]: readonly WebAssembly.Module[]): Promise<void> {
  core = await patiently(() => Core.load(first!, {
    send: () => true, event: () => {}, failed: cause => { throw cause },
  }, further))
  await core.whole()
}

let started: Promise<void>
self.onmessage = async ({ data }: MessageEvent<WorkOrder>) => {
  switch (data.kind) {
    case 'start':
      started = begin(data.modules)
      // Who wants a run is told.
      started.catch(() => {})
      return
    case 'run': return run(data.work)
    case 'content': return content?.(data.content)
  }
}
