// What is read from the mesh: the answers to requests for `ipfs:` and `ipns:`, and what contracts see.

import type { Channels } from './channels.js'
import { Core, EventKind, utf8 } from './core.js'
import { networkError, WeftError } from './errors.js'
import type { Gateways } from './gateways.js'
import type { Names } from './names.js'
import { Found, HEAD_SIZE, Listing, Reading, Refusal } from './readings.js'
import { ByteRange, byteRange, contentPath, mediaType } from './requests.js'
import { at, refusal } from './responses.js'
import { rest } from './rest.js'
import type { Storage } from './storage.js'
import type { Turns } from './turns.js'
import type { WorkContent } from './work.js'

/** How long a peer is waited for before gateways are asked, in milliseconds. */
const HEAD_START = 500
/** How much is read at a time, which is as much as the module takes; the rest waits its turn. */
const MOST_READINGS = 256

/** What a reader reads with. */
export interface ReaderHost {
  readonly core: Core
  readonly turns: Turns
  readonly channels: Channels
  readonly storage: Storage
  readonly gateways: Gateways | undefined
  readonly patience: number
  now(): number
  /** Throws a TypeError if nothing can be read any more. */
  checkIsRunning(): void
}

/** What reads. */
export class Reader {
  private readonly readings = new Map<number, Reading>()
  /** What is being read, and how far blocks have come. */
  private readonly places = new Map<number, { readonly url: string; position: number }>()
  /** Those whose turn it is not yet. */
  private readonly waiting = new Set<() => void>()
  /** When a reading came to its end last. */
  private lastEnd = 0
  private nextReading = 1

  constructor(private readonly host: ReaderHost) {}

  /** That nobody can be reached. */
  unreachable(trace: readonly string[]): WeftError {
    const { outcomes } = this.host.channels
    const message = outcomes.length > 0 ? 'no peer can be reached' : 'no peers are known'
    return new WeftError('unreachable', message, [...trace, ...outcomes])
  }

  /** Whether nobody has something because nobody is there. */
  private isAlone(cause: WeftError): boolean {
    return cause.code === 'absent' && this.host.channels.connected.length === 0
  }

  /**
   * Waits until a peer is connected or about to be, or none can be for now, or something is kept on
   * disk, or gateways have to do. What is read meanwhile is asked for as soon as the peer has proven who it is.
   */
  private async someone(signal: AbortSignal): Promise<boolean> {
    const { channels, storage, gateways } = this.host
    const peer = channels.someoneNear(signal)
    peer.catch(() => {})
    const disk = storage.opened.then(() => storage.count > 0 || peer)
    const gateway = gateways === undefined ? peer
      : new Promise<boolean>(resolve => setTimeout(() => resolve(true), HEAD_START))
    const hasPeer = await Promise.race([peer, disk, gateway])
    if (!hasPeer) await disk
    return hasPeer
  }

  /** Answers a request for what a path names by CID. */
  async answer(request: Request, names: () => Promise<Names>): Promise<Response> {
    const { storage, gateways } = this.host
    const url = new URL(request.url)
    const path = url.protocol === 'ipfs:' ? contentPath(url)
      : await (await names()).lead(url, request.cache, request.signal)
    const range = byteRange(request.headers.get('range'))
    const isLocal = request.cache === 'only-if-cached'
    const hasPeer = isLocal ? await storage.opened : await this.someone(request.signal)
    this.host.checkIsRunning()
    request.signal.throwIfAborted()
    if (hasPeer === false && storage.count === 0 && gateways === undefined) {
      throw networkError(url.href, this.unreachable([]))
    }
    const name = url.searchParams.get('filename') ?? path.names.at(-1) ?? ''
    const named = mediaType(name)
    const whole = [path.root, ...path.names]
    const head = named === undefined && range !== undefined
      ? await this.head(url.href, whole, request.signal, isLocal) : undefined
    const isHead = request.method === 'HEAD'
    const found = await this.find(url.href, whole, range, request.signal, { isHead, isLocal })
    if (found instanceof Listing) throw new TypeError(`${url.href} is a folder`)
    if (found instanceof Refusal) return refusal(found, url.href, request.method)
    const headers = new Headers({
      'content-type': (found.isIndex ? mediaType('index.html') : named) ?? await this.sniff(
        name, head ?? found.head),
      'content-length': `${found.end - found.start}`,
      'accept-ranges': 'bytes',
      'x-ipfs-path': `/ipfs/${[path.root, ...path.names.map(encodeURIComponent)].join('/')}`,
    })
    if (range !== undefined) {
      headers.set('content-range', `bytes ${found.start}-${found.end - 1}/${found.size}`)
    }
    let body: ReadableStream<Uint8Array> | null = found.body
    if (isHead) {
      await body.cancel()
      body = null
    }
    const status = range === undefined ? 200 : 206
    return at(url.href, new Response(body, { status, headers }))
  }

  /** The first bytes of what a range is wanted of, if they are to be had. */
  private async head(
    url: string, path: readonly string[], signal: AbortSignal, isLocal: boolean,
  ): Promise<Uint8Array | null> {
    try {
      const found = await this.find(url, path, { from: 0, to: HEAD_SIZE - 1 }, signal, { isLocal })
      if (found instanceof Listing || found instanceof Refusal) return null
      return new Uint8Array(await new Response(found.body).arrayBuffer())
    } catch {
      signal.throwIfAborted()
      return null
    }
  }

  /** The type of what begins with these bytes, where the name is not enough. */
  private async sniff(name: string, head: Uint8Array | null | Promise<Uint8Array>): Promise<string> {
    const bytes = await head
    try {
      if (bytes !== null) return (await rest()).typeOf(name, bytes)
    } catch {
      // What is not told browsers find out themselves, for the most part.
    }
    return 'application/octet-stream'
  }

  /** Waits until something that is read has been, unless nothing is for as long as the page has patience. */
  private turn(url: string, signal: AbortSignal): Promise<void> {
    const { patience, now } = this.host
    const begin = now()
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout>
      const look = (): void => {
        const left = Math.max(begin, this.lastEnd) + patience - now()
        if (left > 0) {
          timer = setTimeout(look, left)
          return
        }
        leave()
        const message = `${MOST_READINGS} bodies are not read to their end: read or cancel them`
        reject(networkError(url, new WeftError('deadline', message, [])))
      }
      const leave = (): void => {
        clearTimeout(timer)
        this.waiting.delete(go)
        signal.removeEventListener('abort', abort)
      }
      const go = (): void => {
        leave()
        resolve()
      }
      const abort = (): void => {
        leave()
        reject(signal.reason)
      }
      this.waiting.add(go)
      signal.addEventListener('abort', abort)
      look()
    })
  }

  /** Finds what a path leads to. */
  private async find(
    url: string, path: readonly string[], range: ByteRange | undefined, signal: AbortSignal,
    { isListing = false, isHead = false, isLocal = false, isSecret = false } = {},
  ): Promise<Found | Listing | Refusal> {
    const { core, turns, gateways, now } = this.host
    while (this.readings.size >= MOST_READINGS) await this.turn(url, signal)
    this.host.checkIsRunning()
    const number = this.nextReading++
    const forget = (): void => {
      this.readings.delete(number)
      this.places.delete(number)
      gateways?.end(number)
      signal.removeEventListener('abort', abort)
      this.lastEnd = now()
      const [next] = this.waiting
      next?.()
    }
    const run = (name: string, ...parameters: number[]): void => {
      core.run(name, number, ...parameters, now())
      turns.settle()
    }
    const reading = new Reading(
      count => run('took', count), () => run('cancel'),
      cause => networkError(url, this.isAlone(cause) ? this.unreachable(cause.trace) : cause),
      forget,
    )
    const abort = (): void => reading.abort(signal.reason)
    this.readings.set(number, reading)
    this.places.set(number, { url, position: Math.max(0, range?.from ?? 0) })
    signal.addEventListener('abort', abort)
    try {
      core.ask(
        'read', number, utf8(path.join('\0')), range?.from ?? NaN, range?.to ?? NaN,
        (isListing ? 1 : 0) | (isLocal ? 2 : 0) | (isSecret ? 4 : 0) | (isHead ? 8 : 0), this.host.patience,
        now())
    } catch (error) {
      forget()
      this.host.checkIsRunning()
      throw new TypeError(`${url}: ${(error as Error).message}`)
    }
    turns.settle()
    return reading.found
  }

  /** Reads what contracts see of a path: a file up to so many bytes, or a folder's names. */
  async whole(
    path: readonly string[], limit: number, signal: AbortSignal, isSecret: boolean,
  ): Promise<WorkContent> {
    const name = path.join('/')
    if (this.host.channels.connected.length === 0) await this.someone(signal)
    const found = await this.find(name, path, undefined, signal, { isListing: true, isSecret })
    if (found instanceof Refusal) return { kind: 'nothing' }
    if (found instanceof Listing) return { kind: 'folder', names: found.names }
    if (found.size > limit) {
      await found.body.cancel()
      throw new RangeError(`${name} has more than ${limit} bytes`)
    }
    return { kind: 'file', bytes: new Uint8Array(await new Response(found.body).arrayBuffer()) }
  }

  /** What became of whoever was asked for a reading besides peers. */
  note(reading: number, line: string): void { this.readings.get(reading)?.note(line) }

  /** Takes what the module tells of a reading. */
  take(kind: EventKind, reading: number, number: number, bytes: Uint8Array): void {
    this.readings.get(reading)?.take(kind, number, bytes)
  }

  /** Bytes of blocks have come for a reading; answers what it is of, and about where they lie in it. */
  came(reading: number, bytes: number): { url: string | undefined; position: number | undefined } {
    const place = this.places.get(reading)
    const found = { url: place?.url, position: place?.position }
    if (place !== undefined) place.position += bytes
    return found
  }

  /** Ends what is being read. */
  end(endReading: (reading: Reading) => void): void {
    for (const reading of [...this.readings.values()]) endReading(reading)
    // Those that waited in turn find out, too, that there is none any more.
    for (const go of this.waiting) go()
  }
}
