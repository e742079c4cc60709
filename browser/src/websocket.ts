// A WebSocket as the channel of a connection. It may have been opened before the module is there, whose
// loading takes as long as the way to a peer.

import { Wire, WireOwner, WIRE_ROOM } from './wires.js'

/** How often a full socket is looked at, in milliseconds: it does not tell when it has room. */
const PAUSE = 20
/** The longest message that is taken, in bytes; peers send far shorter ones. */
const MAX_MESSAGE = 16 << 20

/** How many messages may come on a socket before anything was said on it: one, as a rule. */
const MAX_EARLY = 16

/** A socket, and what came on it so far. */
interface EarlySocket {
  readonly socket: WebSocket
  readonly messages: MessageEvent[]
}

/** The WebSocket that an address names, as the module says it; undefined if it does not look like one. */
function guess(address: string): string | undefined {
  const [, kind, host, port, , secure] =
    /^\/(ip4|ip6|dns[46]?)\/([^/]+)\/tcp\/(\d+)\/(ws|(wss|tls\/(?:sni\/[^/]+\/)?ws))\/p2p\//.exec(address) ?? []
  if (kind === undefined) return undefined
  return `${secure === undefined ? 'ws' : 'wss'}://${kind === 'ip6' ? `[${host}]` : host}:${port}`
}

/** Sockets that are opened while the module is loaded, which then has the last word on addresses. */
export class EarlySockets {
  private readonly sockets = new Map<string, EarlySocket>()

  constructor(addresses: readonly string[]) {
    for (const url of new Set(addresses.map(guess))) {
      if (url === undefined) continue
      try {
        const socket = new WebSocket(url)
        const messages: MessageEvent[] = []
        socket.binaryType = 'arraybuffer'
        socket.onmessage = message => {
          if (messages.push(message) > MAX_EARLY) socket.close()
        }
        this.sockets.set(url, { socket, messages })
      } catch {
        // Whoever opens it says what is wrong.
      }
    }
  }

  /** Takes one out. */
  take(url: string): EarlySocket | undefined {
    const socket = this.sockets.get(url)
    this.sockets.delete(url)
    return socket
  }

  /** Closes those that nobody has taken. */
  close(): void {
    for (const { socket } of this.sockets.values()) socket.close()
    this.sockets.clear()
  }
}

/** Begins to open one. Throws what the browser says at once, as of `ws:` in a page of `https:`. */
export function openWebSocket(url: string, owner: WireOwner, early?: EarlySocket): Wire {
  const socket = early?.socket ?? new WebSocket(url)
  let isOpen = false
  let isFull = false
  socket.binaryType = 'arraybuffer'
  socket.onopen = () => {
    isOpen = true
    owner.opened()
  }
  if (early !== undefined && socket.readyState !== WebSocket.CONNECTING) {
    // Its events are over, and the owner does not know of it before this has returned.
    queueMicrotask(() => {
      if (socket.readyState !== WebSocket.OPEN) return owner.lost('cannot be reached')
      isOpen = true
      owner.opened()
      for (const message of early.messages) socket.onmessage?.(message)
    })
  }
  socket.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer && data.byteLength <= MAX_MESSAGE) {
      return owner.received(new Uint8Array(data))
    }
    socket.onmessage = null
    owner.lost(data instanceof ArrayBuffer ? 'sent too long a message' : 'sent text')
  }
  socket.onclose = () => owner.lost(isOpen ? 'the connection broke' : 'cannot be reached')
  const watch = (): void => {
    setTimeout(() => {
      if (socket.readyState !== WebSocket.OPEN) return
      if (socket.bufferedAmount >= WIRE_ROOM / 2) return watch()
      isFull = false
      owner.writable()
    }, PAUSE)
  }
  return {
    send(bytes) {
      if (socket.readyState !== WebSocket.OPEN) return true
      socket.send(bytes)
      if (socket.bufferedAmount < WIRE_ROOM) return true
      if (!isFull) watch()
      isFull = true
      return false
    },
    ready() {},
    close: () => socket.close(),
  }
}
