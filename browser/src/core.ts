// A thin door to weft-content.wasm: strings and byte arrays in, answers and events out. All that is
// known of protocols is in the module.

import { WeftError } from './errors.js'
import { type Further, type ModuleSource, Pieces } from './pieces.js'

/**
 * What the module tells of while it is called. Nothing of this calls the module again, nor throws: the
 * module would be left in the middle of what it does.
 */
export interface Host {
  /**
   * Sends bytes on a channel, or a message of a kind on a stream of one that has data channels;
   * answers whether there is room for more.
   */
  send(channel: number, bytes: Uint8Array, stream: number, kind: number): boolean
  // What the module of calls does without.
  /** Has bytes hashed elsewhere, and tells of it by `hashed`; false if that cannot be. */
  hash?(number: number, bytes: Uint8Array): boolean
  /** The digest that the module asked for with this number; empty if there is none. */
  hashed?(number: number, digest: Uint8Array): void
  /** Whether a block is on disk. */
  isStored?(hash: Uint8Array): boolean
  /** Keeps a block on disk, as far as there is room. */
  store?(hash: Uint8Array, bytes: Uint8Array): void
  /** Forgets a block on disk. */
  unstore?(hash: Uint8Array): void
  /** Reads a block from disk for the module, under this number. */
  load?(number: number, hash: Uint8Array): void
  /** Brings a block for a reading from elsewhere than peers, under this number; false if nobody is left. */
  bring?(number: number, reading: number, attempt: number, cid: string): boolean
  /** Something has happened. */
  event(kind: EventKind, subject: number, number: number, bytes: Uint8Array): void
  /** The module has failed, and is not called any more. */
  failed(cause: WeftError): void
}

/** What can happen, as the module numbers it. */
export const enum EventKind {
  ready = 1,
  ended = 2,
  found = 3,
  bytes = 4,
  finished = 5,
  failed = 6,
  news = 7,
  signal = 8,
  named = 9,
  unnamed = 10,
  arrived = 30,
  gave = 31,
  /** From here on those of streams of protocols that the page brings. */
  streams = 20,
  streamsEnd = 28,
  /** A reading has found a folder: its names, each with a slash after it. */
  listed = 28,
}

/** What the module counts. */
export const enum Count {
  fetched = 0,
  served = 1,
  cachedBytes = 2,
  cachedBlocks = 3,
}

type Parameter = number | Uint8Array

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** The text as UTF-8. */
export const utf8 = (text: string): Uint8Array => encoder.encode(text)
/** The text that UTF-8 spells. */
export const text = (bytes: Uint8Array): string => decoder.decode(bytes)

/** How long a piece of content is that is handed out, in bytes. */
const PIECE = 256 << 10

/**
 * Memory of messages that have been taken in, for pieces of content that are handed out: browsers take
 * longer to get new memory than to copy into it. Nodes send messages as long as the pieces.
 */
class Spares {
  private readonly spares: ArrayBuffer[] = []

  /** Keeps memory that nobody looks at any more, if it is worth it. */
  add(memory: ArrayBuffer): void {
    if (memory.byteLength >= Spares.least && this.spares.length < Spares.most) this.spares.push(memory)
  }

  /** A copy that belongs to whoever gets it, in memory that is hardly longer. */
  copy(bytes: Uint8Array): Uint8Array {
    if (bytes.length < Spares.least) return bytes.slice()
    const memory = this.spares.pop()
    if (memory === undefined || memory.byteLength < bytes.length
      || memory.byteLength > bytes.length * 1.25) return bytes.slice()
    const copy = new Uint8Array(memory, 0, bytes.length)
    copy.set(bytes)
    return copy
  }

  private static readonly least = 128 << 10
  private static readonly most = 16
}

/** The module has no memory left: that is no answer. */
export class OutOfMemory extends Error {
  constructor() { super('Weft’s module is out of memory') }
}

/** The module, running. */
export class Core {
  /** Why it cannot be called any more. */
  fault: WeftError | undefined

  private constructor(
    private readonly pieces: Pieces,
    private readonly host: Host,
    private readonly spares: Spares,
  ) {}

  /** Loads a module, the first piece of it if it is in several. */
  static async load(
    source: ModuleSource, host: Host, further: Further = [],
  ): Promise<Core> {
    let core: Core | undefined
    const spares = new Spares()
    const view = (pointer: number, count: number): Uint8Array =>
      new Uint8Array(core!.memory.buffer, pointer, count)
    const pieces = await Pieces.load(source, further, {
      weft: {
        random: (pointer: number, count: number) => {
          crypto.getRandomValues(view(pointer, count))
        },
        send: (channel: number, pointer: number, count: number) =>
          host.send(channel, view(pointer, count).slice(), 0, 0) ? 1 : 0,
        message: (
          channel: number, stream: number, kind: number, pointer: number, count: number,
        ) => (host.send(channel, view(pointer, count).slice(), stream, kind) ? 1 : 0),
        hash: (number: number, pointer: number, count: number) => {
          const bytes = view(pointer, count)
          if (host.hash?.(number, bytes)) return 1
          // Insecure pages have no digests of the browser. It copies the bytes at once.
          const digest = crypto.subtle?.digest('SHA-256', bytes)
          digest?.then(
            digest => host.hashed?.(number, new Uint8Array(digest)),
            () => host.hashed?.(number, new Uint8Array()))
          return digest === undefined ? 0 : 1
        },
        stored: (hash: number, count: number) => (host.isStored?.(view(hash, count)) ? 1 : 0),
        store: (hash: number, hashCount: number, pointer: number, count: number) =>
          host.store?.(view(hash, hashCount), view(pointer, count)),
        unstore: (hash: number, count: number) => host.unstore?.(view(hash, count)),
        load: (number: number, hash: number, count: number) =>
          host.load?.(number, view(hash, count)),
        bring: (number: number, reading: number, attempt: number, cid: number, count: number) =>
          (host.bring?.(number, reading, attempt, text(view(cid, count))) ? 1 : 0),
        event: (kind: number, subject: number, number: number, pointer: number, count: number) => {
          let at = 0
          for (; kind === EventKind.bytes && count - at > PIECE; at += PIECE) {
            host.event(kind, subject, number, spares.copy(view(pointer + at, PIECE)))
          }
          host.event(kind, subject, number, spares.copy(view(pointer + at, count - at)))
        },
      },
    })
    core = new Core(pieces, host, spares)
    return core
  }

  private get memory(): WebAssembly.Memory {
    return this.pieces.exports['memory'] as WebAssembly.Memory
  }

  /** Loads all of the module. */
  whole(): Promise<void> { return this.pieces.whole() }

  /** Loads the next piece of the module, with which pages ask for calls and have several nodes. */
  next(): Promise<void> { return this.pieces.load(1) }

  /** The pieces of the module that are loaded, the first one first. */
  get modules(): readonly WebAssembly.Module[] { return this.pieces.modules }

  /** Whether all of it is there. */
  get isWhole(): boolean { return this.pieces.isWhole }

  /**
   * Calls a function, with byte arrays as a pointer and a length, and answers its number; 0 when the
   * module has failed.
   */
  run(name: string, ...parameters: Parameter[]): number {
    const placed: number[] = []
    try {
      const flat = parameters.flatMap(parameter => {
        if (typeof parameter === 'number') return [parameter]
        const pointer = this.place(parameter)
        placed.push(pointer)
        return [pointer, parameter.length]
      })
      return this.call(name, ...flat)
    } finally {
      for (const pointer of placed) this.call('free', pointer)
    }
  }

  /** Takes memory whose bytes the module has had, and that nobody looks at any more. */
  reuse(memory: ArrayBuffer): void { this.spares.add(memory) }

  /** Calls an export. After one has thrown, nothing in the module can be relied on. */
  private call(name: string, ...parameters: number[]): number {
    if (this.fault !== undefined) return 0
    try {
      return (this.pieces.exports[`weft_${name}`] as Function)(...parameters)
    } catch (error) {
      const message = `Weft’s module has failed in ${name} (${(error as Error).message})`
      this.fault = new WeftError('broken', message, [])
      this.host.failed(this.fault)
      return 0
    }
  }

  /** Calls a function that replies with bytes. Throws an Error that says what is wrong. */
  ask(name: string, ...parameters: Parameter[]): Uint8Array {
    const reply = this.run(name, ...parameters)
    if (this.fault !== undefined) throw this.fault
    if (reply === 0) throw new OutOfMemory()
    try {
      const header = new DataView(this.memory.buffer, reply, 8)
      const start = reply + 8
      const answer = new Uint8Array(this.memory.buffer, start, header.getUint32(4, true)).slice()
      if (header.getUint32(0, true) !== 0) throw new Error(text(answer))
      return answer
    } finally {
      this.call('free', reply)
    }
  }

  private place(bytes: Uint8Array): number {
    const pointer = this.call('allocate', bytes.length)
    if (this.fault !== undefined) throw this.fault
    if (pointer === 0) throw new OutOfMemory()
    new Uint8Array(this.memory.buffer, pointer, bytes.length).set(bytes)
    return pointer
  }
}
