// A WebRTC association as the wire of a connection: its data channels, which the page hands over.

import { type DataChannel, RelayedChannel } from './relay.js'
import type { AssociationNotice } from './talk.js'
import { HANDSHAKE } from './webrtc.js'
import { Wire, WireOwner, WIRE_ROOM } from './wires.js'

/** What messages are, as SCTP numbers it. */
const CONTROL = 50
const TEXT = 51
const BINARY = 53

/** How many events of an association may come before it is a channel of the module. */
const MAX_EARLY = 256

const encoder = new TextEncoder()

export class DataChannels implements Wire {
  /** The channels by the numbers that the module gives them; undefined while one is being opened. */
  private readonly channels = new Map<number, DataChannel | undefined>()
  /** What is to be sent on channels that are not open yet. */
  private readonly queues = new Map<number, Uint8Array[]>()
  private waiting = 0
  /** Those that are to be closed as soon as they are there. */
  private readonly unwanted = new Set<number>()
  private isFull = false
  private isOver = false
  /** What has come before the module can take it; undefined when it can. */
  private early: (() => void)[] | undefined = []
  private fingerprint: Uint8Array | undefined

  constructor(
    private readonly owner: WireOwner,
    private readonly order: (order: { kind: 'open'; stream: number } | { kind: 'close' }) => void,
    /** When the module can take what an association with a native peer says. */
    private readonly isReady: Promise<void>,
  ) {}

  take(notice: AssociationNotice): void {
    switch (notice.kind) {
      case 'certificate':
        this.fingerprint = notice.fingerprint
        return
      case 'channel': {
        const { stream, channel, opening } = notice
        this.add(stream, channel instanceof MessagePort ? new RelayedChannel(channel) : channel)
        if (opening !== undefined) this.tell(() => this.owner.message(stream, CONTROL, opening))
        return
      }
      case 'made': return this.opened(notice.isServer)
      case 'lost': return this.fail(notice.reason)
    }
  }

  /** The association is there. */
  private opened(isServer?: boolean): void {
    if (this.isOver) return
    this.owner.opened(this.fingerprint, isServer)
    const early = this.early ?? []
    this.early = undefined
    for (const event of early) event()
  }

  private tell(event: () => void): void {
    if (this.early === undefined) event()
    else if (this.early.length < MAX_EARLY) this.early.push(event)
  }

  private add(number: number, channel: DataChannel): void {
    if (this.isOver) return
    channel.binaryType = 'arraybuffer'
    channel.bufferedAmountLowThreshold = WIRE_ROOM / 4
    this.channels.set(number, channel)
    channel.onmessage = ({ data }) => {
      const isText = typeof data === 'string'
      const bytes = isText ? encoder.encode(data) : new Uint8Array(data as ArrayBuffer)
      this.tell(() => this.owner.message(number, isText ? TEXT : BINARY, bytes))
    }
    channel.onbufferedamountlow = () => this.drained()
    channel.onclose = () => {
      if (this.channels.get(number) !== channel) return
      this.channels.delete(number)
      this.unqueue(number)
      // Browsers close both directions at once.
      this.tell(() => this.owner.messageEnd(number, true))
      this.tell(() => this.owner.messageEnd(number, false))
      this.drained()
    }
    channel.onopen = () => this.open(number, channel)
    if (channel.readyState === 'open') this.open(number, channel)
    if (this.unwanted.delete(number)) channel.close()
  }

  /** Takes out what waits for a channel. */
  private unqueue(number: number): Uint8Array[] {
    const queue = this.queues.get(number) ?? []
    this.queues.delete(number)
    for (const bytes of queue) this.waiting -= bytes.length
    return queue
  }

  private open(number: number, channel: DataChannel): void {
    channel.onopen = null
    if (number === HANDSHAKE && this.fingerprint !== undefined) {
      this.isReady.then(() => this.opened(), error => this.fail((error as Error).message))
    }
    try {
      for (const bytes of this.unqueue(number)) channel.send(bytes)
    } catch (error) {
      return this.fail((error as Error).message)
    }
    this.drained()
  }

  private get buffered(): number {
    let sum = 0
    for (const channel of this.channels.values()) sum += channel?.bufferedAmount ?? 0
    return sum
  }

  private drained(): void {
    if (!this.isFull || this.buffered + this.waiting >= WIRE_ROOM / 2) return
    this.isFull = false
    this.owner.writable()
  }

  private fail(reason: string): void {
    if (this.isOver) return
    this.close()
    this.owner.lost(reason)
  }

  send(bytes: Uint8Array, stream: number, kind: number): boolean {
    if (this.isOver) return true
    const channel = this.channels.get(stream)
    if (kind === 0) {
      if (channel !== undefined) channel.close()
      else if (this.channels.has(stream)) this.unwanted.add(stream)
      return true
    }
    if (kind === CONTROL) {
      // The browser opens channels in its own words, and confirms those of the peer by itself.
      if (bytes[0] !== 3) return true
      this.channels.set(stream, undefined)
      this.order({ kind: 'open', stream })
      return true
    }
    if (!this.channels.has(stream)) return true
    if (channel === undefined || channel.readyState === 'connecting') {
      this.waiting += bytes.length
      const queue = this.queues.get(stream)
      if (queue === undefined) this.queues.set(stream, [bytes])
      else queue.push(bytes)
    } else if (channel.readyState === 'open') {
      channel.send(bytes)
    }
    if (this.buffered + this.waiting < WIRE_ROOM) return true
    this.isFull = true
    return false
  }

  ready(): void {
    this.channels.get(HANDSHAKE)?.close()
  }

  close(): void {
    if (this.isOver) return
    this.isOver = true
    for (const channel of this.channels.values()) if (channel !== undefined) channel.onclose = null
    this.channels.clear()
    this.queues.clear()
    this.order({ kind: 'close' })
  }
}
