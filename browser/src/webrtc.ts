// A WebRTC association as the wire of a connection: its data channels, and how one is made with a
// native peer (github.com/libp2p/specs, webrtc-direct, version 2). The page's own session description
// is left as the browser makes it, which browsers are about to demand; only the answer is written
// here, in the peer's name.

import { Wire, WireOwner, WIRE_ROOM } from './wires.js'

/** The number of the channel on which a page and a native peer prove who they are. */
const HANDSHAKE = 0
/** What messages are, as SCTP numbers it. */
const CONTROL = 50
const TEXT = 51
const BINARY = 53

const encoder = new TextEncoder()

/** A listener for WebRTC, and the SHA2-256 of its certificate in hexadecimal with colons. */
export interface Listener {
  readonly ip: string
  readonly port: string
  readonly fingerprint: string
}

/** Begins to make an association, which is not before the module can take it. */
export function openWebRTC(listener: Listener, owner: WireOwner, isReady: Promise<void>): Wire {
  const connection = new RTCPeerConnection()
  const association = new Association(connection, owner)
  dial(connection, listener, association, owner, isReady)
    .catch(error => association.fail((error as Error).message))
  return association
}

async function dial(
  connection: RTCPeerConnection,
  { ip, port, fingerprint }: Listener,
  association: Association,
  owner: WireOwner,
  isReady: Promise<void>,
): Promise<void> {
  const handshake = connection.createDataChannel('', { negotiated: true, id: HANDSHAKE })
  association.add(HANDSHAKE, handshake)
  await connection.setLocalDescription()
  const sdp = connection.localDescription?.sdp ?? ''
  const own = line(sdp, 'fingerprint').split(' ')[1] ?? ''
  handshake.onopen = () => {
    const bytes = own.split(':').map(digits => parseInt(digits, 16))
    owner.opened(Uint8Array.from(bytes))
  }
  const name = `libp2p+webrtc+v2/${line(sdp, 'ice-pwd')}`
  const version = ip.includes(':') ? 'IP6' : 'IP4'
  await isReady
  await connection.setRemoteDescription({
    type: 'answer',
    sdp: [
      'v=0', `o=- 0 0 IN ${version} ${ip}`, 's=-', 't=0 0', 'a=ice-lite',
      `m=application ${port} UDP/DTLS/SCTP webrtc-datachannel`, `c=IN ${version} ${ip}`,
      `a=mid:${line(sdp, 'mid')}`, 'a=ice-options:ice2', `a=ice-ufrag:${name}`,
      `a=ice-pwd:${name}`, `a=fingerprint:sha-256 ${fingerprint}`, 'a=setup:passive',
      'a=sctp-port:5000', 'a=max-message-size:16384',
      `a=candidate:1 1 UDP 1 ${ip} ${port} typ host`, 'a=end-of-candidates', '',
    ].join('\r\n'),
  })
}

/** The data channels of a peer connection. */
export class Association implements Wire {
  /** The channels by the numbers that the module gives them. */
  private readonly channels = new Map<number, RTCDataChannel>()
  private waiting = 0
  private isFull = false
  private isOver = false

  constructor(
    private readonly connection: RTCPeerConnection,
    private readonly owner: WireOwner,
    /** The label of a channel that serves to make the association and carries nothing. */
    ignored?: string,
  ) {
    this.watch()
    connection.ondatachannel = ({ channel }) => {
      if (channel.id === null || (ignored !== undefined && channel.label === ignored)) return
      this.add(channel.id, channel)
      // The browser has read what opened it, which the module has to know of.
      owner.message(channel.id, CONTROL, opening(channel))
    }
  }

  /** Notices when the connection breaks. */
  watch(): void {
    this.connection.onconnectionstatechange = () => {
      const state = this.connection.connectionState
      if (state === 'failed') this.fail('cannot be reached, or the connection broke')
      if (state === 'closed') this.fail('the connection was closed')
    }
    // The other side has said goodbye, which browsers take for no change of the connection.
    const transport = this.connection.sctp?.transport
    transport?.addEventListener('statechange', () => {
      if (transport.state === 'closed') this.fail('the peer closed the connection')
    })
  }

  add(number: number, channel: RTCDataChannel): void {
    channel.binaryType = 'arraybuffer'
    channel.bufferedAmountLowThreshold = WIRE_ROOM / 4
    this.channels.set(number, channel)
    channel.onmessage = ({ data }) => {
      if (typeof data === 'string') this.owner.message(number, TEXT, encoder.encode(data))
      else this.owner.message(number, BINARY, new Uint8Array(data as ArrayBuffer))
    }
    channel.onbufferedamountlow = () => this.drained()
    channel.onclose = () => {
      if (this.channels.get(number) !== channel) return
      this.channels.delete(number)
      // Browsers close both directions at once.
      this.owner.messageEnd(number, true)
      this.owner.messageEnd(number, false)
      this.drained()
    }
  }

  private get buffered(): number {
    let sum = 0
    for (const channel of this.channels.values()) sum += channel.bufferedAmount
    return sum
  }

  private drained(): void {
    if (!this.isFull || this.buffered >= WIRE_ROOM / 2) return
    this.isFull = false
    this.owner.writable()
  }

  fail(reason: string): void {
    if (this.isOver) return
    this.close()
    this.owner.lost(reason)
  }

  send(bytes: Uint8Array, stream: number, kind: number): boolean {
    if (this.isOver) return true
    const channel = this.channels.get(stream)
    if (kind === 0) {
      channel?.close()
      return true
    }
    if (kind === CONTROL) {
      // The browser opens channels in its own words, and confirms those of the peer by itself.
      if (bytes[0] === 3) this.add(stream, this.connection.createDataChannel(''))
      return true
    }
    if (channel === undefined) return true
    if (channel.readyState === 'connecting') {
      this.queue(channel, bytes)
    } else if (channel.readyState === 'open') {
      channel.send(bytes)
    }
    if (this.buffered + this.waiting < WIRE_ROOM) return true
    this.isFull = true
    return false
  }

  /** Keeps what is to be sent on a channel that is not open yet. */
  private queue(channel: RTCDataChannel, bytes: Uint8Array): void {
    this.waiting += bytes.length
    channel.addEventListener('open', () => {
      this.waiting -= bytes.length
      try {
        channel.send(bytes)
      } catch (error) {
        return this.fail((error as Error).message)
      }
      if (this.waiting === 0) this.drained()
    }, { once: true })
  }

  ready(): void {
    this.channels.get(HANDSHAKE)?.close()
  }

  close(): void {
    if (this.isOver) return
    this.isOver = true
    for (const channel of this.channels.values()) channel.onclose = null
    this.channels.clear()
    this.connection.onconnectionstatechange = null
    this.connection.ondatachannel = null
    this.connection.close()
  }
}

/** The value of a line of a session description. */
export function line(sdp: string, name: string): string {
  const found = new RegExp(`^a=${name}:(.*)\r?$`, 'm').exec(sdp)?.[1]
  if (found === undefined) throw new Error(`the session has no ${name}`)
  return found.trim()
}

/** The message with which a peer opened a channel (RFC 8832). */
function opening(channel: RTCDataChannel): Uint8Array {
  const [label, protocol] = [encoder.encode(channel.label), encoder.encode(channel.protocol)]
  const isReliable = channel.maxRetransmits === null && channel.maxPacketLifeTime === null
  const head = new Uint8Array(12)
  head[0] = 3
  head[1] = isReliable && channel.ordered ? 0 : 0x81
  const view = new DataView(head.buffer)
  view.setUint16(8, label.length)
  view.setUint16(10, protocol.length)
  return Uint8Array.from([...head, ...label, ...protocol])
}
