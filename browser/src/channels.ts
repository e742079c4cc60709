// The connections to other peers: dialled, dialled again when they break, and closed.

import { Core, EventKind, text, utf8 } from './core.js'
import type { DataChannels } from './data-channels.js'
import { rest } from './rest.js'
import { Step } from './signals.js'
import type { AssociationNotice, AssociationOrder, Listener } from './talk.js'
import { EarlySockets, openWebSocket } from './websocket.js'
import type { Wire, WireOwner } from './wires.js'

/** A peer that the page is to be connected with. */
interface Target {
  readonly address: string
  readonly peer: string
  /**
   * How it is dialled: a URL; an IP address, a port and a fingerprint; or the address of the relay
   * through which it is reached, and the relay's name.
   */
  readonly way: readonly string[]
  channel: number | undefined
  /** Whether its wire is open, on which the two prove who they are. */
  isOpen: boolean
  isReady: boolean
  /** Whether it was connected until it was lost. */
  wasReady: boolean
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

/** How many of the peers are asked how the page is seen from outside. */
const STUN_SERVERS = 2

/** A peer that the page is connected with. */
export interface ConnectedPeer {
  readonly peer: string
  readonly address: string
  /** Whether it is another visitor's page, or a node that the site names. */
  readonly kind: 'page' | 'node'
}

/** Whether it is being dialled, or will be in a moment, as it was connected. */
const isComing = ({ channel, isReady, wasReady, timer }: Target): boolean =>
  !isReady && (channel !== undefined || (wasReady && timer !== undefined))

const describe = ({ peer, address }: Target): ConnectedPeer => ({ peer, address, kind: 'node' })

/** The connections of a page. */
export class Channels {
  private readonly targets: Target[] = []
  /** Other pages by their channels; undefined as long as the module has not taken them. */
  private readonly visitors = new Map<number, ConnectedPeer | undefined>()
  /** The associations that the page makes, by their numbers. */
  private readonly associations = new Map<number, DataChannels>()
  /** What takes their channels, once there is one to be made. */
  private scripts: { DataChannels: typeof DataChannels } | undefined
  private readonly wires = new Map<number, Wire>()
  private readonly waiting = new Set<() => void>()
  private nextChannel = 1
  private isStopped = false

  constructor(
    private readonly core: Core,
    private readonly now: () => number,
    private readonly settle: () => void,
    private readonly changed: (peer: ConnectedPeer, isConnected: boolean) => void,
    private readonly dialTimeout: number,
    private readonly early: EarlySockets,
    private readonly order: (order: AssociationOrder) => void,
  ) {}

  /** The peers that are connected, and where they are. */
  get connected(): ConnectedPeer[] {
    const visitors = [...this.visitors.values()].flatMap(visitor => visitor ?? [])
    return [...this.targets.filter(target => target.isReady).map(describe), ...visitors]
  }

  /** Makes no association with another page any more. */
  stopMeeting(): void {
    this.order({ kind: 'part' })
  }

  /** The STUN servers among the peers. */
  private get servers(): RTCIceServer[] {
    const listeners = this.targets.filter(({ way }) => way.length === 3).slice(0, STUN_SERVERS)
    return listeners.map(({ way: [ip, port] }) => (
      { urls: `stun:${ip!.includes(':') ? `[${ip}]` : ip}:${port}` }))
  }

  /** Whether a peer is being dialled. */
  get isDialling(): boolean {
    return this.targets.some(isComing)
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
    const [peer, ...way] = text(this.core.ask('address', utf8(address))).split('\n')
    const hasRelay = way.length !== 2 || this.targets.some(target => target.address === way[0])
    this.checkRoom(hasRelay ? 1 : 2)
    if (!hasRelay) this.add(way[0]!)
    const target: Target = {
      address, peer: peer!, way, channel: undefined, isOpen: false, isReady: false, wasReady: false,
      outcome: 'is being dialled', failures: 0, dialledAt: 0, timer: undefined,
    }
    this.targets.push(target)
    this.dial(target)
  }

  private checkRoom(count: number): void {
    if (this.targets.length + count > MAX_PEERS) {
      throw new Error(`a page is connected with ${MAX_PEERS} peers at the most`)
    }
  }

  /** Waits until a peer is connected, or none can be for now. */
  someone(signal: AbortSignal): Promise<boolean> {
    return this.until(() => this.connected.length > 0, signal)
  }

  /** Waits until a peer is connected or about to be, or none can be for now. */
  someoneNear(signal: AbortSignal): Promise<boolean> {
    return this.until(
      () => this.connected.length > 0 || this.targets.some(({ isOpen }) => isOpen), signal)
  }

  private async until(isSo: () => boolean, signal: AbortSignal): Promise<boolean> {
    if (isSo()) return true
    for (const target of this.targets) {
      // Whoever wants something does not wait for the next attempt, but a peer has to be left alone
      // for a while.
      const isRested = this.now() - target.dialledAt >= LEAST_PAUSE
      if (target.channel === undefined && isRested) this.dial(target)
    }
    const attempts = new Map(this.targets.filter(isComing).map(target => [target, target.channel]))
    for (;;) {
      if (isSo()) return true
      for (const [target, channel] of attempts) {
        const isOver = !isComing(target) || (channel !== undefined && target.channel !== channel)
        if (isOver) attempts.delete(target)
        else attempts.set(target, target.channel)
      }
      if (attempts.size === 0) return false
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
    const dialling = this.targets.filter(isComing)
    this.core.run('dialling', dialling.length, this.now())
    this.settle()
    for (const done of [...this.waiting]) done()
  }

  private dial(target: Target): void {
    if (this.isStopped) return
    clearTimeout(target.timer)
    target.timer = undefined
    target.dialledAt = this.now()
    const channel = this.nextChannel++
    target.channel = channel
    if (target.way.length === 2) return this.reach(target, channel)
    const owner = this.owner(channel, target.address)
    try {
      const [first, port, fingerprint] = target.way
      if (port === undefined) {
        this.wires.set(channel, openWebSocket(first!, owner, this.early.take(first!)))
      } else {
        void this.associate(target, channel, { ip: first!, port, fingerprint: fingerprint! }, owner)
      }
    } catch (error) {
      // A page of https may not open ws://.
      return this.lost(channel, `the browser refuses to dial (${(error as Error).message})`)
    }
    this.tell()
    this.limit(target, channel)
  }

  /** Gives an attempt up when it takes too long. */
  private limit(target: Target, channel: number): void {
    setTimeout(() => {
      if (target.channel === channel && !target.isReady) this.broke(channel, 'did not answer in time')
    }, this.dialTimeout)
  }

  /** Asks a peer's relay for the way to it, as soon as the relay is connected. */
  private reach(target: Target, channel: number): void {
    const relay = this.relay(target)
    if (relay?.isReady) {
      this.core.whole().then(() => {
        if (target.channel !== channel) return
        this.core.ask('reach', channel, utf8(target.address), Date.now() / 1000, this.now())
        this.settle()
      }).catch((error: Error) => this.lost(channel, error.message))
      this.limit(target, channel)
    } else if (relay !== undefined && relay.channel === undefined) {
      this.dial(relay)
    }
    this.tell()
  }

  private relay(target: Target): Target | undefined {
    return target.way.length === 2
      ? this.targets.find(({ address }) => address === target.way[0]) : undefined
  }

  /** Those that are reached through a peer, and are not there yet. */
  private behind(relay: Target): Target[] {
    return this.targets.filter(target => (
      target.channel !== undefined && !target.isReady && this.relay(target) === relay))
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
        const target = this.targets.find(target => target.channel === channel)
        if (target === undefined) return
        target.isOpen = true
        this.tell()
      },
      received: bytes => {
        run('received', bytes)
        this.core.reuse(bytes.buffer as ArrayBuffer)
      },
      message: (stream, kind, bytes) => run('message', stream, kind, bytes),
      messageEnd: (stream, isByPeer) => run('message_end', stream, isByPeer ? 1 : 0),
      writable: () => {
        this.core.run('writable', channel)
        this.settle()
      },
      lost: reason => this.broke(channel, reason),
    }
  }

  /**
   * Has the page make an association, when there is what takes its channels: what comes on one that nobody
   * listens to is lost, and nodes speak first.
   */
  private async associate(
    target: Target, channel: number, listener: Listener, owner: WireOwner,
  ): Promise<void> {
    const isReady = this.core.whole()
    isReady.catch(() => {})
    try {
      await this.load()
      if (target.channel !== channel) return
      this.wires.set(channel, this.adopt(channel, owner, isReady))
      this.order({ kind: 'dial', association: channel, listener })
    } catch (error) {
      if (target.channel === channel) this.lost(channel, (error as Error).message)
    }
  }

  private async load(): Promise<void> {
    this.scripts ??= await rest()
  }

  private adopt(association: number, owner: WireOwner, isReady: Promise<void>): DataChannels {
    const wire = new this.scripts!.DataChannels(owner, order => {
      if (order.kind === 'close') this.associations.delete(association)
      this.order({ ...order, association })
    }, isReady)
    this.associations.set(association, wire)
    return wire
  }

  /** What became of an association, in the order in which the page tells it. */
  associated(notice: AssociationNotice): void {
    if (this.isStopped) return
    switch (notice.kind) {
      case 'signal':
        this.core.run('signal', notice.call, notice.step, notice.bytes, this.now())
        return this.settle()
      case 'making': return this.meet(notice.association, notice.call)
      default: this.associations.get(notice.association)?.take(notice)
    }
  }

  /** What makes an association with another page a channel when it is there. */
  private meet(association: number, call: number): void {
    const channel = this.nextChannel++
    const wire = this.adopt(association, {
      ...this.owner(channel, ''),
      opened: (_, isServer) => {
        this.wires.set(channel, wire)
        this.visitors.set(channel, undefined)
        try {
          this.core.ask('met', call, channel, isServer ? 1 : 0, this.now())
        } catch (error) {
          this.lost(channel, (error as Error).message)
        }
        this.settle()
      },
    }, Promise.resolve())
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
    const visitor = this.visitors.get(channel)
    this.visitors.delete(channel)
    if (visitor !== undefined) this.changed(visitor, false)
    const target = this.targets.find(target => target.channel === channel)
    if (target === undefined) return
    const wasReady = target.isReady
    target.wasReady = wasReady
    target.channel = undefined
    target.isOpen = false
    target.isReady = false
    target.outcome = outcome
    if (!this.isStopped) {
      const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** target.failures++)
      target.timer = setTimeout(() => this.dial(target), pause)
    }
    if (wasReady) this.changed(describe(target), false)
    for (const { channel } of this.behind(target)) this.lost(channel!, `its relay ${outcome}`)
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
    let target = this.targets.find(target => target.channel === channel)
    if (target === undefined && !this.visitors.has(channel)) return
    if (kind === EventKind.ended) return this.lost(channel, message)
    if (target === undefined) target = this.reached(channel, message)
    if (target === undefined) {
      const visitor = { peer: message, address: `/webrtc/p2p/${message}`, kind: 'page' } as const
      this.visitors.set(channel, visitor)
      return this.changed(visitor, true)
    }
    target.isReady = true
    target.failures = 0
    this.wires.get(channel)?.ready()
    this.changed(describe(target), true)
    for (const other of this.behind(target)) this.reach(other, other.channel!)
    this.tell()
  }

  /** The node behind a relay that an association leads to, which is its channel now. */
  private reached(channel: number, peer: string): Target | undefined {
    const target = this.targets.find(target => (
      target.way.length === 2 && target.peer === peer && !target.isReady))
    if (target === undefined) return undefined
    this.visitors.delete(channel)
    clearTimeout(target.timer)
    target.timer = undefined
    target.channel = channel
    return target
  }

  /** What is to be done about an association with another page. */
  signal(call: number, step: Step, bytes: Uint8Array): void {
    if (this.isStopped) return
    const order = { kind: 'signal', call, step, bytes, servers: this.servers } as const
    if (this.scripts !== undefined) return this.order(order)
    this.load().then(() => {
      if (!this.isStopped) this.order(order)
    }, () => {
      if (this.isStopped) return
      this.core.run('signal', call, Step.failed, new Uint8Array(), this.now())
      this.settle()
    })
  }

  /** Ends all connections, for this reason. */
  stop(reason: string): void {
    this.isStopped = true
    this.order({ kind: 'part' })
    for (const channel of this.visitors.keys()) this.core.run('close', channel, this.now())
    for (const target of this.targets) {
      clearTimeout(target.timer)
      target.timer = undefined
      if (target.channel !== undefined) this.core.run('close', target.channel, this.now())
    }
    this.settle()
    for (const channel of [...this.visitors.keys()]) this.lost(channel, reason)
    for (const target of this.targets) {
      // The module knows nothing of one that is still being dialled.
      if (target.channel !== undefined) this.lost(target.channel, reason)
    }
  }
}
