// What a page calls. One `Weft` is the page's; `fetch` asks that one.

import type { ModuleSource } from './pieces.js'
import type { MeshOptions } from './contracts.js'
import type { StartOptions } from './options.js'
import { Weft as Page } from './page.js'
import { place } from './place.js'
import { isOfMesh } from './requests.js'

export { WeftError } from './errors.js'
export type { WeftErrorCode } from './errors.js'
export type { ModuleSource } from './pieces.js'
export type { CallRecord, ContractOptions, MeshOptions, MeshResponse } from './contracts.js'
export type { ConnectedPeer } from './channels.js'
export type { StartOptions, Status, WeftEventMap } from './options.js'

let started: Promise<Page> | undefined

/** The page's peer. */
export const Weft = {
  /** Starts it, once. Its connections are made in the background. */
  async start(options: StartOptions = {}): Promise<Page> {
    const module: ModuleSource | undefined = options.module ?? place.module
    if (module === undefined) throw new TypeError('say where weft-content.wasm is: module')
    if (started !== undefined) throw new TypeError('Weft runs already in this page')
    const starting = Page.start({ ...options, module })
    started = starting
    starting.catch(() => {
      if (started === starting) started = undefined
    })
    return starting
  },

  /** Stops it. It can be started again. */
  async stop(): Promise<void> {
    const running = started
    started = undefined
    // One that could not be started need not be stopped.
    ;(await running?.catch(() => undefined))?.stop()
  },
}

/** What is running: the type of what `Weft.start` gives. */
export type Weft = Page

/**
 * Fetches what `window.fetch` would, and `ipfs://CID/path` and `ipns://NAME/path` from the mesh. Of that,
 * every byte has been checked against the CID before it is handed on. `weft://CID/method?query` has a contract
 * answer, on the terms that `mesh` says.
 */
export async function fetch(
  input: RequestInfo | URL, init?: RequestInit & { mesh?: MeshOptions },
): Promise<Response> {
  if (!isOfMesh(input)) return globalThis.fetch(input, init)
  if (started === undefined) throw new TypeError('call Weft.start before you fetch from the mesh')
  return (await started).fetch(input, init)
}
