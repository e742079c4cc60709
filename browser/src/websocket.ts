// A WebSocket as the channel of a connection.

import { Wire, WireOwner, WIRE_ROOM } from './wires.js'

/** How often a full socket is looked at, in milliseconds: it does not tell when it has room. */
const PAUSE = 20
/** The longest message that is taken, in bytes; peers send far shorter ones. */
const MAX_MESSAGE = 16 << 20

/** Begins to open one. Throws what the browser says at once, as of `ws:` in a page of `https:`. */
export function openWebSocket(url: string, owner: WireOwner): Wire {
  const socket = new WebSocket(url)
  let isOpen = false
  let isFull = false
  socket.binaryType = 'arraybuffer'
  socket.onopen = () => {
    isOpen = true
    owner.opened()
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
