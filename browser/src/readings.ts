// What is being read from the mesh: each reading becomes a promise of what was found, and a stream of
// its bytes, which asks for no more than is read.

import { EventKind, text } from './core.js'
import { WeftError, WeftErrorCode } from './errors.js'

/** What a reading found. */
export interface Found {
  readonly size: number
  /** The bytes that come, the last one excluded. */
  readonly start: number
  readonly end: number
  /** Whether it is the index.html of the directory that was asked for. */
  readonly isIndex: boolean
  readonly body: ReadableStream<Uint8Array>
  /** The first bytes, as many as tell what a file is, or fewer if no more come. */
  readonly head: Promise<Uint8Array>
}

/** The names in a folder. */
export class Listing {
  constructor(readonly names: readonly string[]) {}
}

/** Why there is nothing to read, although the mesh has it: an answer, not an error. */
export class Refusal {
  constructor(
    readonly status: 404 | 416,
    readonly message: string,
  ) {}
}

/** How many of a file's first bytes tell what it is. */
export const HEAD_SIZE = 3072

/** How many bytes wait in a stream before no more is asked for. */
const STREAM_ROOM = 256 << 10

const failureCodes: Record<number, WeftErrorCode> = {
  6: 'absent', 7: 'unreachable', 8: 'unverifiable', 9: 'deadline',
}

/** One reading. */
export class Reading {
  readonly found: Promise<Found | Listing | Refusal>
  private answer!: (found: Found | Listing | Refusal) => void
  private refuse!: (error: unknown) => void
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined
  private readonly trace: string[] = []
  /** Bytes that were given to the stream and not yet said to be taken. */
  private handed = 0
  /** How many bytes are still to come. */
  private missing = 0
  /** The first bytes, until they are told. */
  private head: Uint8Array | undefined = new Uint8Array(HEAD_SIZE)
  private headCount = 0
  private tellHead = (_: Uint8Array): void => {}

  constructor(
    private readonly took: (count: number) => void,
    private readonly cancel: () => void,
    private readonly failure: (cause: WeftError) => TypeError,
    private readonly isOver: () => void,
  ) {
    this.found = new Promise((resolve, reject) => {
      this.answer = resolve
      this.refuse = reject
    })
    // It may fail while it is begun, when nobody waits for it yet.
    this.found.catch(() => {})
  }

  take(kind: EventKind, number: number, bytes: Uint8Array): void {
    switch (kind) {
      case EventKind.found: return this.begin(number, bytes)
      case EventKind.bytes:
        this.handed += bytes.length
        this.missing -= bytes.length
        this.look(bytes)
        this.controller?.enqueue(bytes)
        return
      case EventKind.finished:
        if (this.missing !== 0) return this.fail(0, 'the module lost a part of it')
        this.isOver()
        this.endHead()
        this.controller?.close()
        return
      case EventKind.listed:
        this.isOver()
        return this.answer(new Listing(text(bytes).split('/').slice(0, -1)))
      case EventKind.failed: return this.fail(number, text(bytes))
      case EventKind.news:
        this.trace.push(text(bytes))
        return
    }
  }

  /** What became of whoever was asked besides peers. */
  note(line: string): void { this.trace.push(line) }

  /** Ends the reading because whoever wanted it does not any more. */
  abort(reason: unknown): void {
    this.isOver()
    this.cancel()
    this.refuse(reason)
    this.endHead()
    this.controller?.error(reason)
  }

  /** Ends the reading because nothing can come any more. */
  break(cause: WeftError): void {
    this.isOver()
    this.end(cause)
  }

  /** Takes a copy of what tells what the file is: whoever reads may take the bytes elsewhere. */
  private look(bytes: Uint8Array): void {
    if (this.head === undefined) return
    const part = bytes.subarray(0, HEAD_SIZE - this.headCount)
    this.head.set(part, this.headCount)
    this.headCount += part.length
    if (this.headCount === HEAD_SIZE) this.endHead()
  }

  private endHead(): void {
    if (this.head !== undefined) this.tellHead(this.head.subarray(0, this.headCount))
    this.head = undefined
  }

  private begin(size: number, bytes: Uint8Array): void {
    const range = new DataView(bytes.buffer, bytes.byteOffset, 17)
    const body = new ReadableStream<Uint8Array>(
      {
        start: controller => {
          this.controller = controller
        },
        pull: controller => {
          const waiting = STREAM_ROOM - (controller.desiredSize ?? 0)
          const count = this.handed - waiting
          if (count <= 0) return
          this.handed -= count
          this.took(count)
        },
        cancel: () => {
          this.isOver()
          this.cancel()
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: STREAM_ROOM }),
    )
    const start = Number(range.getBigUint64(0, true))
    const end = Number(range.getBigUint64(8, true))
    this.missing = end - start
    const head = new Promise<Uint8Array>(resolve => { this.tellHead = resolve })
    this.answer({ size, start, end, isIndex: range.getUint8(16) === 1, body, head })
  }

  private fail(number: number, message: string): void {
    this.isOver()
    if (number === 1 || number === 2) return this.answer(new Refusal(404, message))
    if (number === 5) return this.answer(new Refusal(416, message))
    const code = failureCodes[number] ?? 'unreadable'
    this.end(new WeftError(code, message, this.trace))
  }

  private end(cause: WeftError): void {
    const error = this.failure(cause)
    this.refuse(error)
    this.endHead()
    this.controller?.error(error)
  }
}
