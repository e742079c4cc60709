// The page's end of the line to its node: a worker, or where the browser starts none, as some policies
// and `file:` have it, the same script on the page's thread. A worker may come to its end, or hang: that is
// noticed here.

import type { Line, NodeLetter, PageSaid } from './talk.js'

type PageLine = Line<PageSaid, NodeLetter>
type NodeLine = Line<NodeLetter, PageSaid>

/** How long a worker may take until it is there, in milliseconds. */
const STARTING = 10_000
/** How long it may take to end itself, so that what is being written is. */
const ENDING = 10_000
/**
 * How often a worker that is waited for may be silent in a row, and each time for how many milliseconds at least.
 * Between them what it says is heard, so the time that a page or a computer sleeps counts once.
 */
const SILENCES = 5
const SILENCE = 1000

export class Link {
  private line: PageLine | undefined
  private worker: Worker | undefined
  private timer: ReturnType<typeof setTimeout> | undefined
  private beat: ReturnType<typeof setInterval> | undefined
  /** How often the worker has been silent. */
  private silences = 0
  private readonly over = new AbortController()
  /** What was said before a node was there: a worker hears the most of it as it begins. */
  private readonly early: [PageSaid, Transferable[]][] = []

  constructor(
    private readonly script: string,
    private readonly hear: (letter: NodeLetter) => void,
    private readonly fail: (error: Error) => void,
    /** The node has come to its end, or hangs. */
    private readonly lose: () => void,
  ) {
    try {
      const worker = new Worker(script, { type: 'module' })
      this.worker = worker
      this.timer = setTimeout(() => void this.stay(), STARTING)
      worker.onerror = event => {
        event.preventDefault()
        void this.stay()
      }
      worker.onmessageerror = () => this.lose()
      worker.onmessage = () => {
        worker.onerror = null
        this.open(worker as unknown as PageLine, isHandedOver)
      }
    } catch {
      void this.stay()
    }
  }

  /** The node is there, and has yet to hear some of what was said. */
  private open(line: PageLine, isMissing: (transfer: Transferable[]) => boolean): void {
    clearTimeout(this.timer)
    if (this.over.signal.aborted) return
    this.line = line
    line.onmessage = ({ data }) => {
      this.silences = 0
      if (data.said.kind === 'holds') void this.guard(data.said.lock)
      else this.hear(data)
    }
    for (const [said, transfer] of this.early.splice(0)) {
      if (isMissing(transfer)) line.postMessage(said, transfer)
    }
  }

  /** Has the node work on this thread. */
  private async stay(): Promise<void> {
    clearTimeout(this.timer)
    if (this.worker !== undefined) this.worker.onerror = null
    this.worker?.terminate()
    this.worker = undefined
    try {
      const { serve } = await import(this.script)
      const [here, there] = pair()
      here.onmessage = () => this.open(here, () => true)
      ;(serve as (line: NodeLine) => void)(there)
    } catch (error) {
      this.fail(new TypeError(`weft-node.js cannot be loaded: ${(error as Error).message}`))
    }
  }

  /** When the worker is gone the browser gives the lock that it holds to the page. */
  private async guard(lock: string): Promise<void> {
    await navigator.locks.request(lock, { signal: this.over.signal }, () => this.lose()).catch(() => {})
  }

  /** Has the worker say that it is there while somebody waits for it: one that hangs does not. */
  watch(isAwaited: () => boolean, patience: number): void {
    if (this.beat !== undefined) return
    this.silences = 0
    this.beat = setInterval(() => {
      if (!isAwaited()) this.rest()
      else if (this.silences++ < SILENCES) this.say({ kind: 'beat' })
      else this.lose()
    }, Math.max(SILENCE, patience / (SILENCES + 1)))
  }

  private rest(): void {
    clearInterval(this.beat)
    this.beat = undefined
  }

  say(said: PageSaid, transfer: Transferable[] = []): void {
    if (this.line !== undefined) return this.line.postMessage(said, transfer)
    this.early.push([said, transfer])
    // What can be handed over once alone waits until it is sure to whom.
    if (!isHandedOver(transfer)) this.worker?.postMessage(said)
  }

  /** Says the last word. Nothing more is heard. */
  end(): void {
    this.say({ kind: 'stop' })
    this.leave(ENDING)
  }

  /** Nothing more is heard; the worker is ended if it does not end itself in time. */
  leave(time: number): void {
    this.over.abort()
    clearTimeout(this.timer)
    this.rest()
    if (this.line !== undefined) this.line.onmessage = null
    if (this.worker !== undefined) this.worker.onmessageerror = null
    setTimeout(() => this.worker?.terminate(), time)
  }
}

const isHandedOver = (transfer: Transferable[]): boolean => transfer.length > 0

/** Both ends of a line on one thread: what is said is heard when whoever says it has returned. */
function pair(): [PageLine, NodeLine] {
  const [here, there] = [{ onmessage: null }, { onmessage: null }] as [PageLine, NodeLine]
  const bind = <Said, Heard>(from: Line<Said, Heard>, to: Line<Heard, Said>): void => {
    from.postMessage = said => queueMicrotask(() => to.onmessage?.({ data: said }))
  }
  bind(here, there)
  bind(there, here)
  return [here, there]
}
