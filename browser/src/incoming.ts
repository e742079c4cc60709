// An answer of the node as the page's `Response`, whose body comes as it is read.

import type { MeshAnswer, MeshDemand } from './messages.js'
import { toldError } from './errors.js'
import { at, telling } from './responses.js'

/** How many pieces are on their way at a time. */
const AHEAD = 4

export class Incoming {
  readonly response: Promise<Response>
  private resolve!: (response: Response) => void
  private reject!: (error: unknown) => void
  /** What the body failed of. */
  private fault: unknown
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined
  /** How many pieces were demanded and have not come: the first of them before it is known that there are any. */
  private demanded = 0

  constructor(
    private readonly request: Request,
    private readonly say: (demand: MeshDemand) => void,
    private readonly isOver: () => void,
  ) {
    this.response = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    request.signal.addEventListener('abort', this.abort)
  }

  demand(): void {
    for (; this.demanded < AHEAD; this.demanded += 1) this.say('more')
  }

  private readonly abort = (): void => {
    this.say('stop')
    this.fail(this.request.signal.reason)
  }

  take(answer: MeshAnswer): void {
    switch (answer.kind) {
      case 'taken': return
      case 'head': return this.begin(answer)
      case 'piece':
        this.demanded -= 1
        return this.controller?.enqueue(answer.bytes)
      case 'end':
        this.end()
        return this.controller?.close()
      case 'failed': return this.fail(toldError(answer.fault))
    }
  }

  private begin({ status, headers, mesh }: Extract<MeshAnswer, { kind: 'head' }>): void {
    const { url, method } = this.request
    const isBare = method === 'HEAD' || [204, 205, 304].includes(status)
    const body = new ReadableStream<Uint8Array>({
      start: controller => { this.controller = controller },
      pull: () => this.demand(),
      cancel: () => {
        this.say('stop')
        this.end()
      },
    })
    if (isBare) void body.cancel()
    const response = telling(
      at(url, new Response(isBare ? null : body, { status, headers })), () => this.fault)
    this.resolve(mesh === undefined
      ? response : Object.defineProperties(response, { mesh: { value: mesh } }))
  }

  fail(error: unknown): void {
    this.end()
    this.fault = error
    this.reject(error)
    this.controller?.error(error)
  }

  private end(): void {
    this.request.signal.removeEventListener('abort', this.abort)
    this.isOver()
  }
}
