// The script of the worker in which a page's node works. Where there is no worker the page imports it.

import { Desk } from './desk.js'
import type { Line, NodeLetter, PageSaid } from './talk.js'

/** Has a node work for the page at the other end of the line. */
export function serve(line: Line<NodeLetter, PageSaid>, close: () => void = () => {}): void {
  new Desk(line, close)
}

if (typeof document === 'undefined') {
  serve(globalThis as unknown as Line<NodeLetter, PageSaid>, () => globalThis.close())
}
