// The script of the worker in which a page's node works. Where there is no worker the page imports it.

import { Desk } from './desk.js'
import type { Line, NodeLetter, PageSaid } from './talk.js'

/** Has a node work for the page at the other end of the line. */
export function serve(line: Line<NodeLetter, PageSaid>, close: () => void = () => {}): void {
  new Desk(line, close)
}

if (typeof document === 'undefined') {
  const line = globalThis as unknown as Line<NodeLetter, PageSaid>
  hold(line)
  serve(line, () => globalThis.close())
  // Somebody would wait for what cannot be heard.
  globalThis.onmessageerror = () => globalThis.close()
}

/** Holds a lock, of which the page learns that the worker is gone, for whatever reason. */
function hold(line: Line<NodeLetter, PageSaid>): void {
  const lock = `weft-node/${Math.random()}`
  navigator.locks?.request(lock, () => {
    line.postMessage({ said: { kind: 'holds', lock }, status: undefined }, [])
    return new Promise(() => {})
  }).catch(() => {})
}
