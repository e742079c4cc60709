// What a page does for its node: makes WebRTC associations, which browsers have in windows alone, and hands
// their data channels over. Where a browser cannot, the messages are relayed.

import { relay } from './relay.js'
import type { AssociationNotice, AssociationOrder } from './talk.js'
import { Visitors } from './visitors.js'
import { Association, dial } from './webrtc.js'

export class Associations {
  private readonly associations = new Map<number, Association>()
  private readonly visitors = new Visitors({
    say: (call, step, bytes) => this.say({ kind: 'signal', call, step, bytes }),
    adopt: (connection, call, ignored) => {
      const number = --this.last
      const association = this.adopt(number, connection, ignored)
      this.say({ kind: 'making', association: number, call })
      return {
        association,
        made: isServer => this.say({ kind: 'made', association: number, isServer }),
      }
    },
  })
  /** The number of the association that was begun with another page last. */
  private last = 0

  constructor(
    private readonly say: (notice: AssociationNotice, transfer?: Transferable[]) => void,
  ) {}

  take(order: AssociationOrder): void {
    switch (order.kind) {
      case 'dial': {
        const { association: number, listener } = order
        try {
          const connection = new RTCPeerConnection()
          const association = this.adopt(number, connection)
          dial(connection, listener, association, fingerprint => {
            this.say({ kind: 'certificate', association: number, fingerprint })
          }).catch(error => association.fail((error as Error).message))
        } catch (error) {
          const reason = `the browser refuses to dial (${(error as Error).message})`
          this.say({ kind: 'lost', association: number, reason })
        }
        return
      }
      case 'signal': return this.visitors.take(order.call, order.step, order.bytes, order.servers)
      case 'part': return this.visitors.stop()
      case 'open': return this.associations.get(order.association)?.open(order.stream)
      case 'close':
        this.associations.get(order.association)?.close()
        return void this.associations.delete(order.association)
    }
  }

  private adopt(association: number, connection: RTCPeerConnection, ignored?: string): Association {
    const adopted = new Association(connection, {
      channel: (stream, channel, opening) => this.hand(association, stream, channel, opening),
      lost: reason => {
        this.associations.delete(association)
        this.say({ kind: 'lost', association, reason })
      },
    }, ignored)
    this.associations.set(association, adopted)
    return adopted
  }

  /** Hands a channel over, which browsers allow at the moment at which it is made. */
  private hand(
    association: number, stream: number, channel: RTCDataChannel, opening: Uint8Array | undefined,
  ): void {
    const notice = { kind: 'channel', association, stream, opening } as const
    try {
      this.say({ ...notice, channel }, [channel as unknown as Transferable])
    } catch {
      const port = relay(channel)
      this.say({ ...notice, channel: port }, [port])
    }
  }

  stop(): void {
    this.visitors.stop()
    for (const association of this.associations.values()) association.close()
    this.associations.clear()
  }
}
