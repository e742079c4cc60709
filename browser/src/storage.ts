// The node's side of what is kept on disk (weft-store.js): which blocks are there is known here, so that
// the module learns it at once; their bytes come from that worker. It also hashes blocks, which
// browsers otherwise do while the node waits; the one copy that it gets for that is what it keeps, in
// memory that goes back and forth, since new memory costs more than the copy.

import type { StoreCommand, StoreNotice } from './messages.js'

/** A block that was read, and the SHA2-256 of its bytes. */
export interface StoredBlock {
  readonly bytes: Uint8Array
  readonly digest: Uint8Array
}

/**
 * How long it takes until the worker is started if nothing is to be kept before, in milliseconds: what is read
 * first comes sooner while there are fewer of them.
 */
const PAUSE = 60
/** How long is waited until the worker has said what is there, in milliseconds. */
const OPENING = 1000
/** How many bytes may be on their way to the disk before blocks are not kept there. */
const WRITING = 64 << 20
/** How many bytes of blocks the worker has that were hashed, and may be kept yet. */
const HASHED = 8 << 20
/**
 * How long the worker may say nothing while it is waited for: so many times so many milliseconds, then it is
 * ended. Between them its messages are heard, so the time that a page or a computer sleeps counts once.
 */
const SILENCES = 5
const SILENCE = 1000
/** How long a piece of memory is that is lent to the worker at the least, and how many wait here. */
const PIECE = 256 << 10
const PIECES = 32

/** The blocks on disk. Where a browser or page has none, it is empty, and keeps nothing. */
export class Storage {
  private readonly held = new Set<string>()
  private readonly waiting = new Map<number, (block: StoredBlock | undefined) => void>()
  private worker: Worker | undefined
  private nextLoad = 1
  private writing = 0
  /** Whether another page has what there is. */
  private isBusy = false
  /** Whether the worker has begun to work. */
  private isAwake = false
  /** Blocks that are being hashed, in memory of that size, and whoever waits for it. */
  private readonly hashing = new Map<number, { size: number; done: (digest: Uint8Array) => void }>()
  private timer: ReturnType<typeof setTimeout> | undefined
  /** Those that were, by their hashes, each once. */
  private readonly hashed = new Map<string, { number: number; size: number }>()
  private hashedBytes = 0
  private readonly memory: ArrayBuffer[] = []
  /** How many bytes are kept, and why nothing is. */
  byteCount = 0
  fault: string | undefined

  /** Resolves when it is known what is there. */
  readonly opened: Promise<void>
  private isOpened: () => void = () => {}
  private starting: ReturnType<typeof setTimeout> | undefined

  /** Opens it soon, for at most so many bytes if that is said. */
  constructor(
    private readonly script: string | undefined,
    private readonly limit: number | undefined,
    /** What there is has changed. */
    private readonly changed: () => void,
  ) {
    this.opened = new Promise(resolve => { this.isOpened = resolve })
    if (limit === 0) this.isOpened()
    else this.starting = setTimeout(() => this.start(), PAUSE)
  }

  /** Starts the worker, if it has not been. */
  private start(): void {
    if (this.starting === undefined) return
    this.forgo()
    try {
      if (this.script === undefined) throw new Error('it is not known where weft-store.js is')
      this.open(new Worker(this.script))
    } catch (error) {
      this.fail((error as Error).message)
    }
  }

  /** The worker is not to be started any more. */
  private forgo(): void {
    clearTimeout(this.starting)
    this.starting = undefined
  }

  private open(worker: Worker): void {
    this.worker = worker
    setTimeout(this.isOpened, OPENING)
    worker.onerror = event => {
      event.preventDefault()
      this.fail(event.message || 'weft-store.js cannot be loaded')
    }
    worker.onmessage = ({ data }: MessageEvent<StoreNotice>) => this.take(data)
    this.say({ kind: 'open', limit: this.limit })
  }

  private say(command: StoreCommand, transfer: Transferable[] = []): void {
    this.worker?.postMessage(command, transfer)
  }

  private take(notice: StoreNotice): void {
    this.isAwake = true
    this.carryOut(notice)
    this.changed()
    this.watch(true)
  }

  private carryOut(notice: StoreNotice): void {
    switch (notice.kind) {
      case 'free':
        if (this.memory.length < PIECES) this.memory.push(notice.memory)
        return
      case 'hashed': return this.tookDigest(notice.number, notice.digest)
      case 'busy':
        this.isBusy = true
        this.writing = 0
        return this.isOpened()
      case 'opened':
        this.isBusy = false
        for (const hash of notice.blocks) this.held.add(hash)
        this.byteCount = notice.byteCount
        return this.isOpened()
      case 'changed':
        this.writing -= notice.written
        if (notice.added !== undefined) this.held.add(notice.added)
        for (const hash of notice.removed) this.held.delete(hash)
        this.byteCount = notice.byteCount
        return
      case 'loaded':
        if (notice.block === undefined) this.held.delete(notice.hash)
        this.waiting.get(notice.number)?.(notice.block)
        this.waiting.delete(notice.number)
        return
      case 'failed': return this.fail(notice.message)
      case 'closed':
    }
  }

  private fail(message: string): void {
    this.fault = message
    this.held.clear()
    this.byteCount = 0
    // One that hangs would not close by itself.
    const worker = this.worker
    void this.stop()
    worker?.terminate()
    this.isOpened()
  }

  /** How many blocks are kept. */
  get count(): number { return this.held.size }

  /** Whether a block is here. */
  has(hash: Uint8Array): boolean { return this.held.size > 0 && this.held.has(hexadecimal(hash)) }

  /** Has a block hashed by the worker; false if that cannot be. An empty digest says that it failed. */
  hash(number: number, bytes: Uint8Array, done: (digest: Uint8Array) => void): boolean {
    if (this.worker === undefined || !this.isAwake) return false
    const copy = this.lend(bytes)
    this.hashing.set(number, { size: copy.buffer.byteLength, done })
    this.say({ kind: 'hash', number, bytes: copy }, [copy.buffer])
    this.watch()
    return true
  }

  /** What is read waits for what the worker says: one that is silent for long has come to its end. */
  private watch(hasSpoken = false): void {
    const isAwaited = this.hashing.size + this.waiting.size > 0
    if (hasSpoken || !isAwaited) {
      clearTimeout(this.timer)
      this.timer = undefined
    }
    if (!isAwaited) return
    this.timer ??= this.listen(SILENCES)
  }

  private listen(times: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      if (times > 1) this.timer = this.listen(times - 1)
      else this.fail('weft-store.js does not answer')
    }, SILENCE)
  }

  private tookDigest(number: number, digest: Uint8Array): void {
    const order = this.hashing.get(number)
    if (order === undefined) return
    this.hashing.delete(number)
    const name = SHA2_256 + hexadecimal(digest)
    // The same block may come twice, and what could not be hashed has no name.
    if (digest.length === 0 || this.hashed.has(name)) {
      this.say({ kind: 'forget', number })
      return order.done(digest)
    }
    this.hashed.set(name, { number, size: order.size })
    this.hashedBytes += order.size
    order.done(digest)
    // What nobody wanted to be kept goes, the oldest first.
    for (const name of this.hashed.keys()) {
      if (this.hashedBytes <= HASHED) break
      this.say({ kind: 'forget', number: this.takeHashed(name)! })
    }
  }

  private takeHashed(name: string): number | undefined {
    const block = this.hashed.get(name)
    this.hashed.delete(name)
    this.hashedBytes -= block?.size ?? 0
    return block?.number
  }

  /** A copy for the worker, in memory that it gives back. */
  private lend(bytes: Uint8Array): Uint8Array {
    const last = this.memory.pop()
    const memory = last !== undefined && last.byteLength >= bytes.length
      ? last : new ArrayBuffer(Math.max(bytes.length, PIECE))
    const copy = new Uint8Array(memory, 0, bytes.length)
    copy.set(bytes)
    return copy
  }

  /** Keeps a block that has been checked, as far as there is room. */
  keep(hash: Uint8Array, bytes: Uint8Array): void {
    const name = hexadecimal(hash)
    const number = this.takeHashed(name)
    this.start()
    if (this.worker === undefined) return
    if (this.isBusy || this.held.has(name) || this.writing + bytes.length > WRITING) {
      if (number !== undefined) this.say({ kind: 'forget', number })
      return
    }
    this.writing += bytes.length
    if (number !== undefined) return this.say({ kind: 'keep', hash: name, block: number })
    const copy = this.lend(bytes)
    this.say({ kind: 'keep', hash: name, block: copy }, [copy.buffer])
  }

  /** Forgets a block whose bytes are wrong. */
  drop(hash: Uint8Array): void {
    const name = hexadecimal(hash)
    if (this.held.delete(name)) this.say({ kind: 'drop', hash: name })
  }

  /** Reads a block; undefined if it is not there any more, or is not what was written. */
  load(hash: Uint8Array): Promise<StoredBlock | undefined> {
    if (this.worker === undefined) return Promise.resolve(undefined)
    const number = this.nextLoad++
    this.say({ kind: 'load', number, hash: hexadecimal(hash) })
    return new Promise(resolve => {
      this.waiting.set(number, resolve)
      this.watch()
    })
  }

  /** Ends it. What is being written still is, which is waited for unless the worker hangs. */
  async stop(): Promise<void> {
    const { worker } = this
    this.forgo()
    this.worker = undefined
    for (const answer of this.waiting.values()) answer(undefined)
    this.waiting.clear()
    for (const { done } of this.hashing.values()) done(new Uint8Array())
    this.hashing.clear()
    this.watch()
    if (worker === undefined) return
    await new Promise<void>(resolve => {
      setTimeout(resolve, SILENCES * SILENCE)
      worker.onerror = () => resolve()
      worker.onmessage = ({ data }: MessageEvent<StoreNotice>) => {
        if (data.kind === 'closed') resolve()
      }
      const close: StoreCommand = { kind: 'close' }
      worker.postMessage(close)
    })
  }
}

/** What stands before a SHA2-256 in a multihash. */
const SHA2_256 = '1220'

function hexadecimal(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}
