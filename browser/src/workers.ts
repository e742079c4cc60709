// The workers that run contracts, a call each. A contract cannot be made to stop: when its time is up,
// or nobody wants its result any more, its worker is ended, and that is no result.

import type { Work, WorkAnswer, WorkContent, WorkEnd, WorkOrder } from './work.js'

/** How many calls may wait for a worker. */
const MAX_WAITING = 256

interface Job {
  readonly work: Work
  readonly time: number
  readonly done: (end: WorkEnd) => void
}

/** Brings what a name leads to. Throws for what is not to be had. */
export type ContentSource = (
  cid: string, names: readonly string[], signal: AbortSignal,
) => Promise<WorkContent>

/** The workers of a page. */
export class Workers {
  private readonly idle: Worker[] = []
  private readonly running = new Map<Job, () => void>()
  private readonly waiting: Job[] = []
  private isStopped = false

  constructor(
    private readonly script: string,
    /** The module in its two pieces, which are loaded by the time that something is to run. */
    private readonly modules: () => readonly WebAssembly.Module[],
    private readonly limit: number,
    private readonly source: ContentSource,
  ) {}

  /** How many calls wait for a worker. */
  get backlog(): number { return this.waiting.length }

  /**
   * Has a call run, within so many milliseconds of running. Returns what takes it back: then there is no
   * end.
   */
  run(work: Work, time: number, done: (end: WorkEnd) => void): () => void {
    const job: Job = { work, time, done }
    if (this.isStopped || this.waiting.length >= MAX_WAITING) {
      queueMicrotask(() => done(lack('too many calls wait')))
      return () => {}
    }
    this.waiting.push(job)
    this.begin()
    return () => this.cancel(job)
  }

  private cancel(job: Job): void {
    const place = this.waiting.indexOf(job)
    if (place >= 0) this.waiting.splice(place, 1)
    this.running.get(job)?.()
  }

  private begin(): void {
    while (this.running.size < this.limit) {
      const job = this.waiting.shift()
      if (job === undefined) return
      this.start(job, this.idle.pop() ?? this.make())
    }
  }

  private make(): Worker {
    const worker = new Worker(this.script)
    say(worker, { kind: 'start', modules: this.modules() })
    return worker
  }

  private start(job: Job, worker: Worker): void {
    const abort = new AbortController()
    const leave = (isOfUse: boolean): void => {
      clearTimeout(timer)
      abort.abort()
      worker.onmessage = null
      worker.onerror = null
      this.running.delete(job)
      if (isOfUse && !this.isStopped) this.idle.push(worker)
      else worker.terminate()
      this.begin()
    }
    const give = (end: WorkEnd, isOfUse: boolean): void => {
      leave(isOfUse)
      job.done(end)
    }
    const timer = setTimeout(() => {
      const reason = `it took longer than ${job.time} ms`
      give({ kind: 'none', code: 'deadline', reason }, false)
    }, job.time)
    this.running.set(job, () => leave(false))
    worker.onerror = event => {
      give(lack(`its worker failed (${event.message ?? 'no script'})`), false)
    }
    worker.onmessage = async ({ data }: MessageEvent<WorkAnswer>) => {
      if (data.kind === 'end') return give(data.end, data.end.kind !== 'none')
      try {
        const content = await this.source(data.cid, data.names, abort.signal)
        if (!abort.signal.aborted) say(worker, { kind: 'content', content })
      } catch (error) {
        if (abort.signal.aborted) return
        give(lack((error as Error).message), false)
      }
    }
    say(worker, { kind: 'run', work: job.work })
  }

  /** Ends all of them. */
  stop(): void {
    this.isStopped = true
    this.waiting.length = 0
    for (const leave of [...this.running.values()]) leave()
    for (const worker of this.idle) worker.terminate()
  }
}

/** This machine lacks something. */
function lack(reason: string): WorkEnd { return { kind: 'none', code: 'resource', reason } }

function say(worker: Worker, order: WorkOrder): void { worker.postMessage(order) }
