// WebRTC associations as a page makes them, whose data channels are its node's: how one is made with a native
// peer (github.com/libp2p/specs, webrtc-direct, version 2). The page's own session description is left as the
// browser makes it, which browsers are about to demand; only the answer is written here, in the peer's name.

import type { Listener } from './talk.js'

/** The number of the channel on which a page and a native peer prove who they are. */
export const HANDSHAKE = 0

const encoder = new TextEncoder()

/** Has an association made with a listener. */
export async function dial(
  connection: RTCPeerConnection,
  { ip, port, fingerprint }: Listener,
  association: Association,
  certified: (fingerprint: Uint8Array) => void,
): Promise<void> {
  association.hand(HANDSHAKE, connection.createDataChannel('', { negotiated: true, id: HANDSHAKE }))
  await connection.setLocalDescription()
  const sdp = connection.localDescription?.sdp ?? ''
  const own = line(sdp, 'fingerprint').split(' ')[1] ?? ''
  certified(Uint8Array.from(own.split(':').map(digits => parseInt(digits, 16))))
  const name = `libp2p+webrtc+v2/${line(sdp, 'ice-pwd')}`
  const version = ip.includes(':') ? 'IP6' : 'IP4'
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
  // Only now is there what hears a goodbye.
  association.watch()
}

/** Who has the data channels of an association. */
export interface AssociationOwner {
  /** A data channel is there, just made; with the message that opened it if the peer did. */
  channel(stream: number, channel: RTCDataChannel, opening?: Uint8Array): void
  /** The association is gone, or could not be made. */
  lost(reason: string): void
}

/** A peer connection, whose data channels are somebody else's. */
export class Association {
  private isOver = false

  constructor(
    private readonly connection: RTCPeerConnection,
    private readonly owner: AssociationOwner,
    /** The label of a channel that serves to make the association and carries nothing. */
    ignored?: string,
  ) {
    this.watch()
    connection.ondatachannel = ({ channel }) => {
      if (channel.id === null || (ignored !== undefined && channel.label === ignored)) return
      // The browser has read what opened it, which the module has to know of.
      this.owner.channel(channel.id, channel, opening(channel))
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

  /** Opens a channel, which the browser gives the number that the module expects. */
  open(stream: number): void {
    if (!this.isOver) this.hand(stream, this.connection.createDataChannel(''))
  }

  hand(stream: number, channel: RTCDataChannel): void {
    this.owner.channel(stream, channel)
  }

  fail(reason: string): void {
    if (this.isOver) return
    this.close()
    this.owner.lost(reason)
  }

  close(): void {
    if (this.isOver) return
    this.isOver = true
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
