// The index of the blocks on disk: a journal of equally long records, read as a whole when it is opened
// and written anew when most of it is out of date. Of its two files the one with the higher generation
// counts, whose head is written when all else of it is. A wrong record costs a block: what is read is
// checked against its hash.

import type { FileHandle } from './files.js'

/** A block and its place. */
export interface JournalEntry {
  readonly hash: string
  readonly page: number
  readonly length: number
  readonly uses: number
}

const MAGIC = 0x57465431
const HEAD = 16
const RECORD = 96
/** The longest multihash that has a place in a record, in bytes. */
const MOST_HASH = 72
/** How many records may be out of date at least before it is written anew. */
const SLACK = 1024
/** How often written records are made to last, in milliseconds. */
const FLUSH = 1000

export class Journal {
  private records = 0
  private timer: ReturnType<typeof setTimeout> | undefined

  private constructor(
    private file: FileHandle,
    private other: FileHandle,
    private generation: number,
  ) {}

  /** Whether a hash, in hexadecimal, fits into a record. */
  static takes(hash: string): boolean { return hash.length <= 2 * MOST_HASH }

  static async open(open: (name: string) => Promise<FileHandle>): Promise<Journal> {
    const [first, second] = [await open('index-0'), await open('index-1')]
    const [one, two] = [generation(first), generation(second)]
    const journal = two > one
      ? new Journal(second, first, two) : new Journal(first, second, one)
    if (journal.generation === 0) journal.begin()
    return journal
  }

  /** What was written last about each block. */
  take(): JournalEntry[] {
    const entries = new Map<string, JournalEntry>()
    const bytes = new Uint8Array(Math.max(0, this.file.getSize() - HEAD))
    this.file.read(bytes, { at: HEAD })
    for (let at = 0; at + RECORD <= bytes.length; at += RECORD) {
      const record = decode(bytes.subarray(at, at + RECORD))
      if (record === undefined) break
      this.records += 1
      if (record.length < 0) entries.delete(record.hash)
      else entries.set(record.hash, record)
    }
    return [...entries.values()]
  }

  put(entry: JournalEntry): void { this.append(encode(entry)) }

  remove(hash: string): void { this.append(encode({ hash, page: 0, length: -1, uses: 0 })) }

  private append(record: Uint8Array): void {
    try {
      this.file.write(record, { at: HEAD + this.records * RECORD })
    } catch {
      // The disk is full: a block that is there is not found, or one that is gone until it is read.
      return
    }
    this.records += 1
    this.timer ??= setTimeout(() => this.flush(), FLUSH)
  }

  private flush(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    this.file.flush()
  }

  /** Writes it anew if most of it is out of date. */
  compact(entries: ReadonlyMap<string, Omit<JournalEntry, 'hash'>>): void {
    if (this.records < 2 * entries.size + SLACK) return
    const [old, records] = [this.file, new Uint8Array(entries.size * RECORD)]
    let at = 0
    for (const [hash, entry] of entries) {
      records.set(encode({ hash, ...entry }), at)
      at += RECORD
    }
    this.file = this.other
    this.other = old
    this.file.truncate(0)
    this.file.write(records, { at: HEAD })
    this.records = entries.size
    this.begin()
    old.truncate(0)
  }

  /** Makes what is written count. */
  private begin(): void {
    this.generation += 1
    this.file.flush()
    const head = new DataView(new ArrayBuffer(HEAD))
    head.setUint32(0, MAGIC)
    head.setUint32(4, this.generation)
    this.file.write(new Uint8Array(head.buffer), { at: 0 })
    this.file.flush()
  }

  close(): void {
    this.flush()
    this.file.close()
    this.other.close()
  }
}

/** The generation of a journal's file; 0 if it is none. */
function generation(file: FileHandle): number {
  const head = new Uint8Array(HEAD)
  if (file.read(head, { at: 0 }) !== HEAD) return 0
  const view = new DataView(head.buffer)
  return view.getUint32(0) === MAGIC ? view.getUint32(4) : 0
}

function encode({ hash, page, length, uses }: JournalEntry): Uint8Array {
  const record = new Uint8Array(RECORD)
  const view = new DataView(record.buffer)
  view.setUint32(4, page)
  view.setInt32(8, length)
  view.setUint32(12, Math.min(uses, 0xffff_ffff))
  view.setUint32(16, hash.length / 2)
  for (let at = 0; at < hash.length; at += 2) {
    record[20 + at / 2] = parseInt(hash.slice(at, at + 2), 16)
  }
  view.setUint32(0, checksum(record))
  return record
}

function decode(record: Uint8Array): JournalEntry | undefined {
  const view = new DataView(record.buffer, record.byteOffset, RECORD)
  const count = view.getUint32(16)
  if (view.getUint32(0) !== checksum(record) || count > MOST_HASH) return undefined
  let hash = ''
  for (let at = 20; at < 20 + count; at++) hash += record[at]!.toString(16).padStart(2, '0')
  return { hash, page: view.getUint32(4), length: view.getInt32(8), uses: view.getUint32(12) }
}

/** FNV-1a of all but the checksum itself. */
function checksum(record: Uint8Array): number {
  let sum = 0x811c9dc5
  for (let at = 4; at < RECORD; at++) sum = Math.imul(sum ^ record[at]!, 0x01000193) >>> 0
  return sum
}
