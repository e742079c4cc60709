// What a connection runs on: a WebSocket, or the data channels of a WebRTC association.

/** A way to a peer. */
export interface Wire {
  /** Sends bytes, or a message on a data channel; answers whether there is room for more. */
  send(bytes: Uint8Array, stream: number, kind: number): boolean
  /** The peer has proven who it is. */
  ready(): void
  close(): void
}

/** Who made a wire. */
export interface WireOwner {
  /**
   * The wire is there; of an association with a node the fingerprint of the page's certificate is told, of one
   * with another page whether this one is the server.
   */
  opened(fingerprint?: Uint8Array, isServer?: boolean): void
  /** Bytes came, in memory of their own, which is the owner's from now on. */
  received(bytes: Uint8Array): void
  /** A message came on a data channel, whose kind has its number in SCTP. */
  message(stream: number, kind: number, bytes: Uint8Array): void
  /** A data channel is closed. */
  messageEnd(stream: number, isByPeer: boolean): void
  /** There is room again. */
  writable(): void
  /** The wire is gone, or could not be made. */
  lost(reason: string): void
}

/** How many bytes may wait in a wire before the module is told that it is full. */
export const WIRE_ROOM = 1 << 20
