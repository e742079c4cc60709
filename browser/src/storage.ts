// The page's side of what is kept on disk (weft-store.js): which blocks are there is known here, so that
// the module learns it at once; their bytes come from the worker.

import type { StoreCommand, StoreNotice } from './messages.js'

/** A block that was read, and the SHA2-256 of its bytes. */
export interface StoredBlock {
  readonly bytes: Uint8Array
  readonly digest: Uint8Array
}

/** How long is waited until the worker has said what is there, in milliseconds. */
const OPENING = 1000
/** How many bytes may be on their way to the disk before blocks are not kept there. */
const WRITING = 64 << 20

/** The blocks on disk. Where a browser or page has none, it is empty, and keeps nothing. */
export class Storage {
  private readonly held = new Set<string>()
  private readonly waiting = new Map<number, (block: StoredBlock | undefined) => void>()
  private worker: Worker | undefined
  private nextLoad = 1
  private writing = 0
  /** Whether another page has what there is. */
  private isBusy = false
  /** How many bytes are kept, and why nothing is. */
  byteCount = 0
  fault: string | undefined

  /** Resolves when it is known what is there. */
  readonly opened: Promise<void>
  private isOpened: () => void = () => {}

  /** Opens it, for at most so many bytes if that is said. */
  constructor(script: string | URL | undefined, limit: number | undefined) {
    this.opened = new Promise(resolve => { this.isOpened = resolve })
    if (limit === 0) {
      this.isOpened()
      return
    }
    try {
      if (script === undefined) throw new Error('it is not known where weft-store.js is')
      this.start(new Worker(script), limit)
    } catch (error) {
      this.fail((error as Error).message)
    }
  }

  private start(worker: Worker, limit: number | undefined): void {
    this.worker = worker
    setTimeout(this.isOpened, OPENING)
    worker.onerror = event => {
      event.preventDefault()
      this.fail(event.message || 'weft-store.js cannot be loaded')
    }
    worker.onmessage = ({ data }: MessageEvent<StoreNotice>) => this.take(data)
    this.say({ kind: 'open', limit })
  }

  private say(command: StoreCommand, transfer: Transferable[] = []): void {
    this.worker?.postMessage(command, transfer)
  }

  private take(notice: StoreNotice): void {
    switch (notice.kind) {
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
    }
  }

  private fail(message: string): void {
    this.fault = message
    this.held.clear()
    this.byteCount = 0
    this.stop()
    this.isOpened()
  }

  /** How many blocks are kept. */
  get count(): number { return this.held.size }

  /** Whether a block is here. */
  has(hash: Uint8Array): boolean { return this.held.size > 0 && this.held.has(key(hash)) }

  /** Keeps a block that has been checked, as far as there is room. */
  keep(hash: Uint8Array, bytes: Uint8Array): void {
    const name = key(hash)
    if (this.worker === undefined || this.isBusy || this.held.has(name)) return
    if (this.writing + bytes.length > WRITING) return
    this.writing += bytes.length
    const copy = bytes.slice()
    this.say({ kind: 'keep', hash: name, bytes: copy }, [copy.buffer])
  }

  /** Forgets a block whose bytes are wrong. */
  drop(hash: Uint8Array): void {
    const name = key(hash)
    if (this.held.delete(name)) this.say({ kind: 'drop', hash: name })
  }

  /** Reads a block; undefined if it is not there any more, or is not what was written. */
  load(hash: Uint8Array): Promise<StoredBlock | undefined> {
    if (this.worker === undefined) return Promise.resolve(undefined)
    const number = this.nextLoad++
    this.say({ kind: 'load', number, hash: key(hash) })
    return new Promise(resolve => this.waiting.set(number, resolve))
  }

  /** Ends it; what is being written still is. */
  stop(): void {
    this.say({ kind: 'close' })
    this.worker = undefined
    for (const answer of this.waiting.values()) answer(undefined)
    this.waiting.clear()
  }
}

/** A multihash as text. */
function key(hash: Uint8Array): string {
  let text = ''
  for (const byte of hash) text += byte.toString(16).padStart(2, '0')
  return text
}
