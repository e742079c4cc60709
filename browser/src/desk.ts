// The node's end of the line to its page: what the page says is done, and what becomes of it told.

import { answer, type AnswerPort } from './answering.js'
import { faultOf, toldError } from './errors.js'
import type { MeshAnswer } from './messages.js'
import { Node } from './node.js'
import { cacheMode, requestOf } from './requests.js'
import {
  HEARD, type Line, type NodeLetter, type NodeSaid, type PageRequest, type PageSaid, type Wish,
} from './talk.js'

/** How often the page is told how it stands while nothing else is said, in milliseconds. */
const NEWS = 50
/** How often the page is told so with what comes by the hundreds, in milliseconds: telling it takes time. */
const OFTEN = 10
/** How many events and news a page may have left unheard; it is told of no more then, as it has no time. */
const MOST_UNHEARD = 4096

/** Answers a page. */
export class Desk {
  private node: Node | undefined
  private hasBegun = false
  private module!: Promise<WebAssembly.Module>
  private takeModule!: (module: WebAssembly.Module) => void
  /** When the node has begun; what the page's elements ask waits for that. */
  private readonly begun: Promise<void>
  private begin!: () => void
  private fail!: (error: unknown) => void
  /** What waits before the node has begun, begins in tasks of its own, between which peers are heard. */
  private turn: Promise<void>
  private readonly fetched = new Map<number, PagePort>()
  private readonly wishes = new Map<number, AbortController>()
  /** What is added piece by piece. */
  private readonly incoming = new Map<number, WritableStreamDefaultWriter<Uint8Array>>()
  private news: ReturnType<typeof setTimeout> | undefined
  private unheard = 0
  /** When the page was told last how it stands. */
  private told = 0

  constructor(
    private readonly line: Line<NodeLetter, PageSaid>,
    /** Ends the thread, if it is the node's own. */
    private readonly close: () => void,
  ) {
    this.module = new Promise(resolve => { this.takeModule = resolve })
    this.begun = new Promise((resolve, reject) => { [this.begin, this.fail] = [resolve, reject] })
    this.begun.catch(() => {})
    this.turn = this.begun
    line.onmessage = ({ data }) => this.take(data)
    this.say({ kind: 'ready' })
  }

  private say(said: NodeSaid, transfer: Transferable[] = []): void {
    const now = performance.now()
    const isTold = this.hasBegun && (!isFrequent(said) || now - this.told >= OFTEN)
    if (isTold) {
      clearTimeout(this.news)
      this.news = undefined
      this.told = now
    }
    this.line.postMessage({ said, status: isTold ? this.node!.status : undefined }, transfer)
  }

  private tell(said: Extract<NodeSaid, { kind: 'event' | 'news' }>): void {
    if (this.unheard >= MOST_UNHEARD) return
    this.unheard += 1
    this.say(said)
  }

  private tellNews(): void {
    this.news = undefined
    this.tell({ kind: 'news' })
  }

  private take(said: PageSaid): void {
    switch (said.kind) {
      case 'module': return this.takeModule(said.module)
      case 'wish': return void this.grant(said.number, said.wish)
      case 'cancel': return this.wishes.get(said.number)?.abort()
      case 'fetch': return this.fetch(said.number, said.request)
      case 'demand': return this.fetched.get(said.number)?.onmessage?.({ data: said.demand })
      case 'pass': {
        const { request, port } = said
        return void answer(async signal => {
          await this.ownTurn()
          return this.node!.fetch(requestOf(request, signal))
        }, port as AnswerPort, this.node?.isConnected ?? false)
      }
      case 'site':
        if (this.node !== undefined) this.node.bytesFromSite += said.bytes
        return
      case 'webrtc': return this.node?.associated(said.notice)
      case 'heard':
        this.unheard -= HEARD
        return
      case 'beat': return this.say({ kind: 'ready' })
      case 'stop': return void this.stop()
    }
  }

  private async ownTurn(): Promise<void> {
    const own = this.turn
    if (!this.hasBegun) {
      this.turn = own.then(nextTask)
      this.turn.catch(() => {})
    }
    await own
  }

  private fetch(number: number, { url, mesh, cache, body, ...init }: PageRequest): void {
    const port = new PagePort(
      (answer, transfer) => this.say({ kind: 'answer', number, answer }, transfer),
      () => this.fetched.delete(number))
    this.fetched.set(number, port)
    // A page may pause for as long as it likes.
    void answer(signal => this.node!.fetch(new Request(url, {
      ...init, ...cacheMode(cache), ...(body && { body }), signal,
    }), mesh), port, true, Infinity)
  }

  private async grant(number: number, wish: Wish): Promise<void> {
    const abort = new AbortController()
    this.wishes.set(number, abort)
    try {
      const value = await this.carryOut(wish, abort.signal)
      this.say({ kind: 'done', number, value })
    } catch (error) {
      this.say({ kind: 'failed', number, fault: faultOf(error) })
    } finally {
      this.wishes.delete(number)
    }
  }

  private async carryOut(wish: Wish, signal: AbortSignal): Promise<unknown> {
    if (wish.kind === 'start') return this.start(wish)
    const node = this.node!
    switch (wish.kind) {
      case 'give': return node.give()
      case 'serve': return node.serve(wish.isServing)
      case 'connect': return node.connect(wish.address)
      case 'record': return node.callRecord(wish.cid, signal)
      case 'put': {
        const { content } = wish
        if (content instanceof Blob) return node.put(content)
        const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
        this.incoming.set(content, writable.getWriter())
        return node.put(readable).finally(() => this.incoming.delete(content))
      }
      case 'piece': {
        const writer = this.incoming.get(wish.stream)
        return wish.bytes === undefined ? writer?.close() : writer?.write(wish.bytes)
      }
      case 'unreadable': return this.incoming.get(wish.stream)?.abort(toldError(wish.fault))
    }
  }

  private async start({ options }: Extract<Wish, { kind: 'start' }>): Promise<void> {
    this.node = new Node(options, {
      tell: (name, detail) => this.tell({ kind: 'event', name, detail }),
      changed: () => { this.news ??= setTimeout(() => this.tellNews(), NEWS) },
      // The module may be being called, so it is not asked how it stands.
      order: order => this.line.postMessage({ said: { kind: 'webrtc', order }, status: undefined }, []),
    })
    try {
      await this.node.start(this.module)
      this.hasBegun = true
      this.begin()
    } catch (error) {
      this.fail(error)
      throw error
    }
  }

  private async stop(): Promise<void> {
    this.fail(toldError({ name: 'AbortError', message: 'Weft has been stopped' }))
    this.node?.stop()
    await this.node?.ended
    this.close()
  }
}

/** Whether there are many of this in a second. */
function isFrequent(said: NodeSaid): boolean {
  if (said.kind === 'event') return said.name === 'piece' || said.name === 'given'
  return said.kind === 'answer' && said.answer.kind === 'piece'
}

/** What the page's own requests are answered over. */
class PagePort implements AnswerPort {
  onmessage: AnswerPort['onmessage'] = null

  constructor(
    readonly postMessage: (answer: MeshAnswer, transfer: Transferable[]) => void,
    readonly close: () => void,
  ) {}
}

/** Resolves in another task. */
function nextTask(): Promise<void> {
  return new Promise(resolve => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(undefined)
  })
}
