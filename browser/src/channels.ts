// The WebSockets to other peers: dialled, dialled again when they break, and closed.

import { Core, EventKind, text, utf8 } from './core.js'

/** A peer that the page is to be connected with. */
interface Target {
  readonly address: string
  readonly url: string
  readonly peer: string
  channel: number | undefined
  isReady: boolean
  /** What became of the last attempt. */
  outcome: string
  failures: number
  /** When the next attempt is made. */
  timer: ReturnType<typeof setTimeout> | undefined
}

/** How many bytes may wait in a socket before the module is told that it is full. */
const SOCKET_ROOM = 4 << 20
/** How often a full socket is looked at, in milliseconds: it does not tell when it has room. */
const SOCKET_PAUSE = 20
/** The first pause before a peer is dialled again, and the longest, in milliseconds. */
const FIRST_PAUSE = 500
const LONGEST_PAUSE = 30_000

/** The connections of a page. */
export class Channels {
  private readonly targets: Target[] = []
  private readonly sockets = new Map<number, WebSocket>()
  private readonly full = new Set<number>()
  private readonly waiting = new Set<() => void>()
  private nextChannel = 1
  private isStopped = false

  constructor(
    private readonly core: Core,
    private readonly now: () => number,
    private readonly settle: () => void,
    private readonly changed: (peer: string, address: string, isConnected: boolean) => void,
    private readonly dialTimeout: number,
  ) {}

  /** The peers that are connected, and where they are. */
  get connected(): { peer: string; address: string }[] {
    return this.targets
      .filter(target => target.isReady)
      .map(({ peer, address }) => ({ peer, address }))
  }

  /** What became of the peers that are not connected. */
  get outcomes(): string[] {
    return this.targets
      .filter(target => !target.isReady)
      .map(target => `${target.address}: ${target.outcome}`)
  }

  /** Begins to keep a connection with who is at this address. Throws if it leads to nobody. */
  add(address: string): void {
    if (this.targets.some(target => target.address === address)) return
    const [url, peer] = text(this.core.ask('address', utf8(address))).split('\n')
    const target: Target = {
      address, url: url!, peer: peer!, channel: undefined, isReady: false,
      outcome: 'is being dialled', failures: 0, timer: undefined,
    }
    this.targets.push(target)
    this.dial(target)
  }

  /** Waits until a peer is connected, or none can be for now. */
  async someone(signal: AbortSignal): Promise<boolean> {
    for (const target of this.targets) {
      // Whoever wants something does not wait for the next attempt.
      if (target.channel === undefined && !target.isReady) this.dial(target)
    }
    const attempts = new Map(this.targets.map(target => [target, target.channel]))
    for (;;) {
      if (this.targets.some(target => target.isReady)) return true
      const isDialling = [...attempts].some(
        ([target, channel]) => channel !== undefined && target.channel === channel)
      if (!isDialling) return false
      await this.change(signal)
    }
  }

  private change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        this.waiting.delete(done)
        signal.removeEventListener('abort', done)
        if (signal.aborted) reject(signal.reason)
        else resolve()
      }
      this.waiting.add(done)
      signal.addEventListener('abort', done)
    })
  }

  private tell(): void {
    for (const done of [...this.waiting]) done()
  }

  private dial(target: Target): void {
    clearTimeout(target.timer)
    target.timer = undefined
    const channel = this.nextChannel++
    target.channel = channel
    let socket: WebSocket
    try {
      socket = new WebSocket(target.url)
    } catch (error) {
      // A page of https may not open ws://, and says so at once.
      target.channel = undefined
      target.outcome = `the browser refuses to dial (${(error as Error).message})`
      return
    }
    socket.binaryType = 'arraybuffer'
    this.sockets.set(channel, socket)
    const timer = setTimeout(() => {
      if (target.channel !== channel || target.isReady) return
      this.lost(channel, 'did not answer in time')
      this.core.run('closed', channel, this.now())
      socket.close()
      this.settle()
    }, this.dialTimeout)
    socket.onopen = () => {
      try {
        this.core.ask('opened', channel, utf8(target.address), this.now())
      } catch (error) {
        this.lost(channel, (error as Error).message)
        socket.close()
      }
      this.settle()
    }
    socket.onmessage = event => {
      this.core.run('received', channel, new Uint8Array(event.data as ArrayBuffer), this.now())
      this.settle()
    }
    socket.onclose = () => {
      clearTimeout(timer)
      this.lost(channel, target.isReady ? 'the connection broke' : 'cannot be reached')
      this.core.run('closed', channel, this.now())
      this.settle()
    }
  }

  /** Takes a channel out, and dials again later. */
  private lost(channel: number, outcome: string): void {
    this.sockets.delete(channel)
    this.full.delete(channel)
    const target = this.targets.find(target => target.channel === channel)
    if (target === undefined) return
    const wasReady = target.isReady
    target.channel = undefined
    target.isReady = false
    target.outcome = outcome
    if (!this.isStopped) {
      const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** target.failures++)
      target.timer = setTimeout(() => this.dial(target), pause)
    }
    if (wasReady) this.changed(target.peer, target.address, false)
    this.tell()
  }

  // What the module says.

  send(channel: number, bytes: Uint8Array): boolean {
    const socket = this.sockets.get(channel)
    if (socket === undefined || socket.readyState !== WebSocket.OPEN) return true
    socket.send(bytes)
    if (socket.bufferedAmount < SOCKET_ROOM) return true
    if (!this.full.has(channel)) {
      this.full.add(channel)
      this.watch(channel, socket)
    }
    return false
  }

  private watch(channel: number, socket: WebSocket): void {
    setTimeout(() => {
      if (!this.full.has(channel)) return
      if (socket.bufferedAmount >= SOCKET_ROOM / 2) return this.watch(channel, socket)
      this.full.delete(channel)
      this.core.run('writable', channel)
      this.settle()
    }, SOCKET_PAUSE)
  }

  take(kind: EventKind.ready | EventKind.ended, channel: number, message: string): void {
    const target = this.targets.find(target => target.channel === channel)
    if (target === undefined) return
    if (kind === EventKind.ready) {
      target.isReady = true
      target.failures = 0
      this.changed(target.peer, target.address, true)
      this.tell()
    } else {
      const socket = this.sockets.get(channel)
      this.lost(channel, message)
      // What was sent before still leaves.
      socket?.close()
    }
  }

  /** Ends all connections. */
  stop(): void {
    this.isStopped = true
    for (const target of this.targets) {
      clearTimeout(target.timer)
      if (target.channel !== undefined) this.core.run('close', target.channel, this.now())
    }
    this.settle()
  }
}
