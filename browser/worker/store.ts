// The blocks on disk: where they lie, which of them go when there is no room, and what is wrong.

import type { StoreNotice } from '../src/messages.js'
import type { FileHandle } from './files.js'
import { Journal } from './journal.js'
import { PAGE, Space } from './space.js'

/** A block in the file. */
interface Entry {
  readonly page: number
  readonly length: number
  uses: number
  /** What it is worth to keep: who is worth least goes first. */
  score: number
}

/** How many blocks are kept at the most: the index lies in memory. */
const MOST_BLOCKS = 1 << 16
/** What fetching a block anew costs besides its bytes, in bytes. */
const FETCH_COST = 64 << 10

type Say = (notice: StoreNotice, transfer?: Transferable[]) => void
type Open = (name: string) => Promise<FileHandle>

export class Store {
  private readonly entries = new Map<string, Entry>()
  private readonly space = new Space()
  /** The score of what was evicted last: what is new starts from there, what is old falls behind. */
  private floor = 0

  private constructor(
    private readonly file: FileHandle,
    private readonly journal: Journal,
    private limit: number,
    private readonly say: Say,
  ) {}

  /** Opens what there is, for at most so many bytes. */
  static async open(open: Open, limit: number, say: Say): Promise<Store> {
    const file = await open('blocks')
    const store = new Store(file, await Journal.open(open), Math.floor(limit / PAGE) * PAGE, say)
    for (const { hash, page, length, uses } of store.journal.take()) {
      // Two blocks in one place, or one behind the file's end, were never written so.
      const isInFile = page * PAGE + length <= file.getSize()
      if (!isInFile || !store.space.claim(page, pages(length))) continue
      store.entries.set(hash, { page, length, uses, score: store.worth(uses, length) })
    }
    store.makeRoom(0)
    return store
  }

  get byteCount(): number { return this.space.used * PAGE }
  get blocks(): string[] { return [...this.entries.keys()] }

  /** Frequency times what fetching it anew costs, for each byte that it takes. */
  private worth(uses: number, length: number): number {
    return this.floor + uses * (1 + FETCH_COST / Math.max(length, 1))
  }

  /** Makes room for so many pages; answers what had to go, or undefined if there is not so much. */
  private makeRoom(count: number): string[] {
    const removed: string[] = []
    while (this.entries.size > 0
      && ((this.space.used + count) * PAGE > this.limit || this.entries.size >= MOST_BLOCKS)) {
      let least: [string, Entry] | undefined
      for (const entry of this.entries) {
        if (least === undefined || entry[1].score < least[1].score) least = entry
      }
      this.floor = least![1].score
      this.drop(least![0])
      removed.push(least![0])
    }
    return removed
  }

  keep(hash: string, bytes: Uint8Array): void {
    const [count, written] = [pages(bytes.length), bytes.length]
    let removed: string[] = []
    let added: string | undefined
    if (!this.entries.has(hash) && Journal.takes(hash) && count * PAGE <= this.limit) {
      removed = this.makeRoom(count)
      const page = this.space.take(count)
      try {
        if (this.file.write(bytes, { at: page * PAGE }) !== bytes.length) throw new Error('it is full')
        const entry = { page, length: bytes.length, uses: 1, score: this.worth(1, bytes.length) }
        this.journal.put({ hash, ...entry })
        this.entries.set(hash, entry)
        added = hash
      } catch {
        // The disk or what the browser grants is full: what is here is all that there will be.
        this.space.give(page, count)
        this.limit = this.byteCount
      }
    }
    this.say({ kind: 'changed', written, added, removed, byteCount: this.byteCount })
    this.compact()
  }

  async load(number: number, hash: string): Promise<void> {
    const entry = this.entries.get(hash)
    const block = entry === undefined ? undefined : await this.read(hash, entry)
    const transfer = block === undefined ? [] : [block.bytes.buffer]
    this.say({ kind: 'loaded', number, hash, block }, transfer)
  }

  private async read(
    hash: string, entry: Entry,
  ): Promise<{ bytes: Uint8Array; digest: Uint8Array } | undefined> {
    const bytes = new Uint8Array(entry.length)
    try {
      if (this.file.read(bytes, { at: entry.page * PAGE }) !== bytes.length) throw new Error('short')
      entry.uses += 1
      entry.score = this.worth(entry.uses, entry.length)
      this.journal.put({ hash, ...entry })
      return { bytes, digest: new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)) }
    } catch {
      this.drop(hash)
      return undefined
    } finally {
      this.compact()
    }
  }

  drop(hash: string): void {
    const entry = this.entries.get(hash)
    if (entry === undefined) return
    this.entries.delete(hash)
    this.space.give(entry.page, pages(entry.length))
    this.journal.remove(hash)
  }

  private compact(): void {
    this.journal.compact(this.entries)
  }

  close(): void {
    this.file.close()
    this.journal.close()
  }
}

const pages = (length: number): number => Math.max(1, Math.ceil(length / PAGE))
