// Blocks, and records of names, from trustless gateways (specs.ipfs.tech, http-gateways) when no peer
// brings them. Nothing of that is trusted: the module hashes every block, and checks who signed a record.

import { whole } from './bodies.js'

/** How many gateways are asked at the most. */
const MOST_GATEWAYS = 8
/** How many blocks they are asked for at a time. */
const MOST_AT_ONCE = 8
/** The longest block, and the longest record of a name. */
const MOST_BLOCK = 2 << 20
const MOST_RECORD = 10 << 10

/** The blocks that one reading asks for. */
interface Asking {
  readonly end: AbortController
  /** With which gateway each block began, so that all are asked once. */
  readonly starts: Map<string, number>
}

/** A block that came, or nothing; answers whether the bytes are right. */
export type TakeBlock = (number: number, digest: Uint8Array, bytes: Uint8Array | undefined) => boolean

/** The gateways that a page knows. */
export class Gateways {
  private readonly urls: readonly string[]
  /** Which of them is asked first: the last that had something. */
  private first = 0
  private readonly readings = new Map<number, Asking>()
  private readonly queue: (() => void)[] = []
  private underWay = 0
  /** How many bytes of blocks came. */
  byteCount = 0

  /** Throws a TypeError if one of them is no URL of a web server. */
  constructor(
    urls: readonly string[],
    private readonly patience: number,
    private readonly take: TakeBlock,
    private readonly note: (reading: number, line: string) => void,
  ) {
    if (urls.length > MOST_GATEWAYS) {
      throw new TypeError(`a page asks ${MOST_GATEWAYS} gateways at the most`)
    }
    this.urls = urls.map(url => {
      const { protocol, origin, pathname } = new URL(url)
      if (protocol !== 'https:' && protocol !== 'http:') {
        throw new TypeError(`${url} is no gateway: https://…`)
      }
      return origin + pathname.replace(/\/+$/, '')
    })
  }

  /** Begins to bring a block for a reading; false if as many gateways have been asked as there are. */
  bring(number: number, reading: number, attempt: number, cid: string): boolean {
    if (attempt >= this.urls.length) return false
    let asking = this.readings.get(reading)
    if (asking === undefined) {
      asking = { end: new AbortController(), starts: new Map() }
      this.readings.set(reading, asking)
    }
    const start = asking.starts.get(cid) ?? this.first
    asking.starts.set(cid, start)
    void this.load(number, reading, (start + attempt) % this.urls.length, cid, asking.end.signal)
    return true
  }

  private async load(
    number: number, reading: number, index: number, cid: string, signal: AbortSignal,
  ): Promise<void> {
    let bytes: Uint8Array | undefined
    let digest = new Uint8Array()
    try {
      await this.turn()
      bytes = await this.read(`${this.urls[index]}/ipfs/${cid}?format=raw`, MOST_BLOCK, signal)
      // Insecure pages have no digests of the browser; the module makes them then.
      const hash = await crypto.subtle?.digest('SHA-256', bytes)
      if (hash !== undefined) digest = new Uint8Array(hash)
    } catch (error) {
      this.note(reading, `${this.urls[index]} ${(error as Error).message}`)
    } finally {
      this.underWay -= 1
      this.queue.shift()?.()
    }
    const isRight = this.take(number, digest, bytes)
    if (bytes === undefined) return
    if (isRight) {
      this.first = index
      this.byteCount += bytes.length
    } else {
      this.note(reading, `${this.urls[index]} sent wrong bytes`)
    }
  }

  /** Waits until fewer blocks are under way than may be. */
  private async turn(): Promise<void> {
    this.underWay += 1
    if (this.underWay > MOST_AT_ONCE) await new Promise<void>(resolve => this.queue.push(resolve))
  }

  /** What is at a URL, if it is not longer than it may be. Throws an Error that says what it does instead. */
  private async read(url: string, most: number, signal: AbortSignal): Promise<Uint8Array> {
    const end = new AbortController()
    const abort = (): void => end.abort()
    signal.addEventListener('abort', abort)
    if (signal.aborted) abort()
    const timer = setTimeout(abort, this.patience)
    try {
      const response = await globalThis.fetch(
        url, { signal: end.signal, credentials: 'omit', referrerPolicy: 'no-referrer' })
      if (!response.ok || response.body === null) throw new Error(`answers ${response.status}`)
      const body = await whole(response.body, most)
      if (body === undefined) throw new Error('sends more than it may')
      return new Uint8Array(await body.arrayBuffer())
    } catch (error) {
      if (signal.aborted) throw new Error('is not asked any more')
      if (end.signal.aborted) throw new Error('did not answer in time')
      throw error instanceof TypeError ? new Error('cannot be reached') : error
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      end.abort()
    }
  }

  /**
   * What the first gateway says that has a record of a name which `check` takes; undefined if none has.
   * `note` hears what became of the others.
   */
  async record(
    name: string, check: (record: Uint8Array) => string, signal: AbortSignal,
    note: (line: string) => void,
  ): Promise<string | undefined> {
    for (const url of this.urls) {
      signal.throwIfAborted()
      try {
        return check(await this.read(`${url}/ipns/${name}?format=ipns-record`, MOST_RECORD, signal))
      } catch (error) {
        note(`${url} ${(error as Error).message}`)
      }
    }
    return undefined
  }

  /** A reading is over: nothing is brought for it any more. */
  end(reading: number): void {
    this.readings.get(reading)?.end.abort()
    this.readings.delete(reading)
  }
}
