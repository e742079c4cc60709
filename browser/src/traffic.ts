// Whom blocks came from, and who was given some.

/** Bytes of blocks that came from a peer, and that it was given. */
export interface PeerTraffic {
  bytesFetched: number
  bytesServed: number
}

/** How many peers are remembered, connected or not. */
const MOST = 256

/** What has come and gone, by the names of peers. */
export class Traffic {
  private readonly byPeer = new Map<string, PeerTraffic>()

  /** The traffic with a peer so far. */
  of(peer: string): PeerTraffic {
    return this.byPeer.get(peer) ?? { bytesFetched: 0, bytesServed: 0 }
  }

  came(peer: string, bytes: number): void {
    this.entry(peer).bytesFetched += bytes
  }

  went(peer: string, bytes: number): void {
    this.entry(peer).bytesServed += bytes
  }

  private entry(peer: string): PeerTraffic {
    const known = this.byPeer.get(peer)
    if (known !== undefined) return known
    if (this.byPeer.size >= MOST) {
      const [oldest] = this.byPeer.keys()
      this.byPeer.delete(oldest!)
    }
    const entry = { bytesFetched: 0, bytesServed: 0 }
    this.byPeer.set(peer, entry)
    return entry
  }
}
