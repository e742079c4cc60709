// What `ipns://` leads to: the module asks peers for the record of a name and checks it; if they have
// none, gateways are asked.

import { Core, EventKind, text, utf8 } from './core.js'
import { networkError, WeftError } from './errors.js'
import type { Gateways } from './gateways.js'
import { ContentPath, contentPath } from './requests.js'

/** How many names may follow each other before they are taken for a circle. */
const MOST_STEPS = 32

/** What may be taken for the newest record, as the module numbers it. */
const enum Mode {
  standard = 0,
  reload = 1,
  known = 2,
}

/** What was found out about a name: the path, or who was asked in vain. */
type Outcome = { readonly path: string } | { readonly code: number; readonly lines: readonly string[] }

/** What the names need of the page. */
export interface NameHost {
  now(): number
  /** Has the module pass on what it has told. */
  settle(): void
  /** Waits until a peer is connected; false if none can be for now. */
  someone(signal: AbortSignal): Promise<boolean>
  hasPeers(): boolean
  /** That nobody can be reached. */
  unreachable(trace: readonly string[]): WeftError
}

/** The names that are being resolved. */
export class Names {
  private readonly waiting = new Map<number, (outcome: Outcome) => void>()
  private nextRequest = 1

  constructor(
    private readonly core: Core,
    private readonly host: NameHost,
    private readonly gateways: Gateways | undefined,
  ) {}

  /** What a URL names by CID, after as many names as it takes. */
  async lead(url: URL, cache: RequestCache, signal: AbortSignal): Promise<ContentPath> {
    let { root, names } = contentPath(url)
    for (let step = 0, kind = url.protocol; kind !== 'ipfs:'; step += 1) {
      if (step === MOST_STEPS) throw new TypeError(`${url.href} leads through more than ${step} names`)
      const path = await this.resolve(url.href, root, cache, signal)
      const [, space, next, ...rest] = path.split('/')
      if (next === undefined || (space !== 'ipfs' && space !== 'ipns')) {
        throw networkError(url.href, new WeftError('unreadable', `${root} leads to ${path}`, []))
      }
      kind = `${space}:`
      root = next
      names = [...rest.filter(name => name !== ''), ...names]
    }
    return { root, names }
  }

  /** What one name leads to. */
  private async resolve(
    url: string, name: string, cache: RequestCache, signal: AbortSignal,
  ): Promise<string> {
    await this.core.whole()
    const isLocal = cache === 'only-if-cached'
    const isNew = cache === 'reload' || cache === 'no-cache' || cache === 'no-store'
    if (isLocal || (!isNew && !this.host.hasPeers())) {
      const known = await this.ask(url, name, Mode.known, signal)
      if ('path' in known) return known.path
      if (isLocal) {
        throw networkError(url, new WeftError('absent', `no record of ${name} is kept here`, []))
      }
    }
    const hasPeer = await this.host.someone(signal)
    const found = hasPeer
      ? await this.ask(url, name, isNew ? Mode.reload : Mode.standard, signal) : undefined
    if (found !== undefined && 'path' in found) return found.path
    const trace = [...found?.lines ?? []]
    const path = await this.gateways?.record(
      name, record => text(this.core.ask(
        'record', utf8(name), record, Date.now() / 1000, this.host.now())),
      signal, line => trace.push(line))
    if (path !== undefined) return path
    if (found === undefined && this.gateways === undefined) throw networkError(url, this.host.unreachable(trace))
    const code = found?.code === 8 ? 'unverifiable' : 'absent'
    throw networkError(
      url, new WeftError(code, `nobody who was asked has a valid record of ${name}`, trace))
  }

  private ask(url: string, name: string, mode: Mode, signal: AbortSignal): Promise<Outcome> {
    signal.throwIfAborted()
    const request = this.nextRequest++
    const abort = (): void => refuse(signal.reason)
    let refuse: (reason: unknown) => void
    const outcome = new Promise<Outcome>((resolve, reject) => {
      refuse = reject
      this.waiting.set(request, resolve)
      signal.addEventListener('abort', abort)
      try {
        this.core.ask('resolve', request, utf8(name), mode, Date.now() / 1000, this.host.now())
      } catch (error) {
        reject(networkError(url, new WeftError('unsupported', (error as Error).message, [])))
      }
    }).finally(() => {
      signal.removeEventListener('abort', abort)
      this.waiting.delete(request)
    })
    this.host.settle()
    return outcome
  }

  /** Takes what the module tells of a request. */
  take(kind: EventKind, request: number, code: number, bytes: Uint8Array): void {
    const said = text(bytes)
    this.waiting.get(request)?.(
      kind === EventKind.named ? { path: said } : { code, lines: said === '' ? [] : said.split('\n') })
  }

  /** Ends what is under way: nobody answers any more. */
  stop(): void {
    for (const answer of [...this.waiting.values()]) answer({ code: 6, lines: ['Weft has been stopped'] })
  }
}
