// What pages say and are told of contracts.

import type { ModuleSource } from './pieces.js'

/** How a page takes part in running contracts. */
export interface ContractOptions {
  /**
   * Whether contracts run here for peers. The page does not unless it is told to; then it also gives
   * peers what it keeps, as with `serve`.
   */
  serve?: boolean
  /** Whether contracts run here for the page itself; they do if it is not said. */
  run?: boolean
  /** How many run at a time; one less than there are cores if not said, and 4 at the most. */
  workers?: number
  /** How long a call may run here, and how long an answer is waited for, in milliseconds; 60,000. */
  time?: number
  /** The gas of a call that does not say how much it may use (`weft-gas`); 10,000,000,000. */
  gas?: number
  /** Where weft-calls.wasm and weft-worker.js are; beside the script if not said. */
  module?: ModuleSource
  worker?: string | URL
  /** Where `weft-calls-rest.wasm` is, the rest of the module; beside the script if not said. */
  rest?: string | URL
}

/** On what terms a call is made: what `fetch` takes as `mesh`. */
export interface MeshOptions {
  /**
   * How answers of peers are checked: not at all; one of twenty is asked for again afterwards; the page
   * runs the call itself; or so many peers must give the same answer.
   */
  audit?: 'none' | 'sample' | 'self' | `quorum:${number}`
  /** The most credits for 1,000 units of gas; 2,000. */
  maxPrice?: number
  /** What a wrong answer would cost, in credits. */
  value?: number
  /** How long is waited for the answer, in milliseconds. */
  deadline?: number
}

/** What is known of an answer to a call: the member `mesh` of its `Response`. */
export interface MeshResponse {
  readonly gas: number
  /** The CID of the record. */
  readonly record: string
  /** The peer that answered; `self` if the call ran here. */
  readonly responder: string
  /** What may be believed of the answer, and under which assumptions. */
  readonly confidence: string
  /** What was paid, in credits. */
  readonly cost: number
  /** Who was asked, and what came of it. */
  readonly trace: readonly string[]
}

/** What one contract did for one request. */
export interface CallRecord {
  readonly cid: string
  readonly url: string
  /** The request's HTTP method. */
  readonly method: string
  readonly outcome: 'ok' | 'out-of-gas' | 'stack-exhausted' | 'trap'
  /** The status of the answer, if there is one. */
  readonly status?: number
  /** With all that it called, and without. */
  readonly gas: number
  readonly ownGas: number
  /** The content that it read. */
  readonly reads: readonly string[]
  /** The records of what it called. */
  readonly children: readonly string[]
}
