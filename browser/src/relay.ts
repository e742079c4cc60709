// A data channel whose messages go over a port, for browsers that transfer none to workers: the end in the
// page, and the one in the worker, which is like the channel.

import { WIRE_ROOM } from './wires.js'

/** What of a data channel a node uses. */
export interface DataChannel {
  binaryType: string
  bufferedAmountLowThreshold: number
  readonly readyState: RTCDataChannelState
  readonly bufferedAmount: number
  onopen: ((event: Event) => void) | null
  onmessage: ((event: MessageEvent) => void) | null
  onbufferedamountlow: ((event: Event) => void) | null
  onclose: ((event: Event) => void) | null
  send(data: Uint8Array): void
  close(): void
}

/** How many bytes may have come that the node has not taken before the channel is closed. */
const MOST_UNREAD = 16 << 20

/** What the page says. */
type Relayed =
  | { readonly kind: 'open' | 'close' }
  | { readonly kind: 'message'; readonly data: string | ArrayBuffer }
  /** So many bytes are not waiting any more. */
  | { readonly kind: 'sent'; readonly count: number }

/** What the node says. */
type Order =
  | { readonly kind: 'send'; readonly bytes: Uint8Array }
  | { readonly kind: 'close' }
  /** So many bytes of messages were taken. */
  | { readonly kind: 'took'; readonly count: number }

const size = (data: string | ArrayBuffer): number =>
  (typeof data === 'string' ? data.length : data.byteLength)

/** Has the messages of a channel go over a port, whose other end it answers. */
export function relay(channel: RTCDataChannel): MessagePort {
  const { port1: port, port2: theirs } = new MessageChannel()
  const say = (said: Relayed, transfer: Transferable[] = []): void => port.postMessage(said, transfer)
  let waiting = 0
  let unread = 0
  const sent = (): void => {
    if (waiting > 0) say({ kind: 'sent', count: waiting })
    waiting = 0
  }
  channel.binaryType = 'arraybuffer'
  channel.bufferedAmountLowThreshold = WIRE_ROOM / 4
  channel.onopen = () => say({ kind: 'open' })
  channel.onbufferedamountlow = sent
  channel.onclose = () => say({ kind: 'close' })
  channel.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    unread += size(data)
    if (unread > MOST_UNREAD) return channel.close()
    say({ kind: 'message', data }, typeof data === 'string' ? [] : [data])
  }
  port.onmessage = ({ data: order }: MessageEvent<Order>) => {
    switch (order.kind) {
      case 'send':
        waiting += order.bytes.length
        try {
          channel.send(order.bytes)
        } catch {
          // One that is closed has said so.
        }
        if (channel.bufferedAmount <= channel.bufferedAmountLowThreshold) sent()
        return
      case 'close': return channel.close()
      case 'took': unread -= order.count
    }
  }
  if (channel.readyState === 'open') say({ kind: 'open' })
  return theirs
}

/** The other end of that port as a channel. */
export class RelayedChannel implements DataChannel {
  binaryType = 'arraybuffer'
  bufferedAmountLowThreshold = 0
  readyState: RTCDataChannelState = 'connecting'
  bufferedAmount = 0
  onopen: DataChannel['onopen'] = null
  onmessage: DataChannel['onmessage'] = null
  onbufferedamountlow: DataChannel['onbufferedamountlow'] = null
  onclose: DataChannel['onclose'] = null

  constructor(private readonly port: MessagePort) {
    port.onmessage = (event: MessageEvent<Relayed>) => this.take(event)
  }

  private take({ data: said }: MessageEvent<Relayed>): void {
    switch (said.kind) {
      case 'open':
        if (this.readyState !== 'connecting') return
        this.readyState = 'open'
        return this.onopen?.(new Event('open'))
      case 'message':
        this.onmessage?.(new MessageEvent('message', { data: said.data }))
        return this.say({ kind: 'took', count: size(said.data) })
      case 'sent':
        this.bufferedAmount -= said.count
        if (this.bufferedAmount > this.bufferedAmountLowThreshold) return
        return this.onbufferedamountlow?.(new Event('bufferedamountlow'))
      case 'close':
        this.readyState = 'closed'
        this.port.close()
        return this.onclose?.(new Event('close'))
    }
  }

  private say(order: Order, transfer: Transferable[] = []): void {
    this.port.postMessage(order, transfer)
  }

  send(bytes: Uint8Array): void {
    this.bufferedAmount += bytes.length
    this.say({ kind: 'send', bytes }, [bytes.buffer])
  }

  close(): void {
    if (this.readyState !== 'closed') this.readyState = 'closing'
    this.say({ kind: 'close' })
  }
}
