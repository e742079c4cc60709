// The connections to other peers: dialled, dialled again when they break, and closed.

import { Core, EventKind, text, utf8 } from './core.js'
import { openWebRTC } from './webrtc.js'
import { openWebSocket } from './websocket.js'
import type { Wire, WireOwner } from './wires.js'

/** A peer that the page is to be connected with. */
interface Target {
  readonly address: string
  readonly peer: string
  /** How it is dialled: a URL, or an IP address, a port and a fingerprint. */
  readonly way: readonly string[]
  channel: number | undefined
  isReady: boolean
  /** What became of the last attempt. */
  outcome: string
  failures: number
  /** When it was dialled last. */
  dialledAt: number
  /** When the next attempt is made. */
  timer: ReturnType<typeof setTimeout> | undefined
}

/** How many peers a page is connected with at the most. */
const MAX_PEERS = 8
/** The first pause before a peer is dialled again, and the longest, in milliseconds. */
const FIRST_PAUSE = 500
const LONGEST_PAUSE = 30_000
/** How long after an attempt whoever wants something has a peer dialled anew, in milliseconds. */
const LEAST_PAUSE = 5000

/** The connections of a page. */
export class Channels {
  private readonly targets: Target[] = []
  private readonly wires = new Map<number, Wire>()
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

  /** Whether a peer is being dialled. */
  get isDialling(): boolean {
    return this.targets.some(({ channel, isReady }) => channel !== undefined && !isReady)
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
    if (this.targets.length >= MAX_PEERS) {
      throw new Error(`a page is connected with ${MAX_PEERS} peers at the most`)
    }
    const [peer, ...way] = text(this.core.ask('address', utf8(address))).split('\n')
    const target: Target = {
      address, peer: peer!, way, channel: undefined, isReady: false,
      outcome: 'is being dialled', failures: 0, dialledAt: 0,
      timer: undefined,
    }
    this.targets.push(target)
    this.dial(target)
  }

  /** Waits until a peer is connected, or none can be for now. */
  async someone(signal: AbortSignal): Promise<boolean> {
    if (this.targets.some(target => target.isReady)) return true
    for (const target of this.targets) {
      // Whoever wants something does not wait for the next attempt, but a peer has to be left alone
      // for a while.
      const isRested = this.now() - target.dialledAt >= LEAST_PAUSE
      if (target.channel === undefined && isRested) this.dial(target)
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
    const dialling = this.targets.filter(({ channel, isReady }) => channel !== undefined && !isReady)
    this.core.run('dialling', dialling.length, this.now())
    this.settle()
    for (const done of [...this.waiting]) done()
  }

  private dial(target: Target): void {
    clearTimeout(target.timer)
    target.timer = undefined
    target.dialledAt = this.now()
    const channel = this.nextChannel++
    target.channel = channel
    const owner = this.owner(channel, target.address)
    try {
      const [first, port, fingerprint] = target.way
      const wire = port === undefined
        ? openWebSocket(first!, owner)
        : openWebRTC({ ip: first!, port, fingerprint: fingerprint! }, owner)
      this.wires.set(channel, wire)
    } catch (error) {
      // A page of https may not open ws://, and some browsers have no WebRTC.
      return this.lost(channel, `the browser refuses to dial (${(error as Error).message})`)
    }
    this.tell()
    setTimeout(() => {
      if (target.channel === channel && !target.isReady) owner.lost('did not answer in time')
    }, this.dialTimeout)
  }

  /** What is to be done with what a wire says. */
  private owner(channel: number, address: string): WireOwner {
    const run = (name: string, ...parameters: (number | Uint8Array)[]): void => {
      if (!this.wires.has(channel)) return
      this.core.run(name, channel, ...parameters, this.now())
      this.settle()
    }
    return {
      opened: fingerprint => {
        try {
          const place = utf8(address)
          if (fingerprint === undefined) {
            this.core.ask('opened', channel, place, this.now())
          } else {
            const argument = Uint8Array.from([...fingerprint, ...place])
            this.core.ask('associated', channel, argument, this.now())
          }
        } catch (error) {
          this.lost(channel, (error as Error).message)
        }
        this.settle()
      },
      received: bytes => run('received', bytes),
      message: (stream, kind, bytes) => run('message', stream, kind, bytes),
      messageEnd: (stream, isByPeer) => run('message_end', stream, isByPeer ? 1 : 0),
      writable: () => {
        this.core.run('writable', channel)
        this.settle()
      },
      lost: reason => this.broke(channel, reason),
    }
  }

  /** A wire is gone, which the module does not know. */
  private broke(channel: number, reason: string): void {
    this.lost(channel, reason)
    this.core.run('closed', channel, this.now())
    this.settle()
  }

  /** Takes a channel out, and dials again later. */
  private lost(channel: number, outcome: string): void {
    const wire = this.wires.get(channel)
    this.wires.delete(channel)
    // What was sent before still leaves.
    wire?.close()
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

  /** Sends bytes, or a message on a data channel; answers whether there is room for more. */
  send(channel: number, bytes: Uint8Array, stream: number, kind: number): boolean {
    try {
      return this.wires.get(channel)?.send(bytes, stream, kind) ?? true
    } catch (error) {
      // The module is told when it can be called again; until then it sends no more there.
      queueMicrotask(() => this.broke(channel, `cannot be sent to (${(error as Error).message})`))
      return false
    }
  }

  take(kind: EventKind.ready | EventKind.ended, channel: number, message: string): void {
    const target = this.targets.find(target => target.channel === channel)
    if (target === undefined) return
    if (kind === EventKind.ended) return this.lost(channel, message)
    target.isReady = true
    target.failures = 0
    this.wires.get(channel)?.ready()
    this.changed(target.peer, target.address, true)
    this.tell()
  }

  /** Ends all connections, for this reason. */
  stop(reason: string): void {
    this.isStopped = true
    for (const target of this.targets) {
      clearTimeout(target.timer)
      if (target.channel !== undefined) this.core.run('close', target.channel, this.now())
    }
    this.settle()
    for (const target of this.targets) {
      // The module knows nothing of one that is still being dialled.
      if (target.channel !== undefined) this.lost(target.channel, reason)
    }
  }
}
