// What a page and a worker that runs contracts say to each other. A worker runs one call at a time.

/** What a name leads to: a file, the names in a folder, or nothing. */
export type WorkContent =
  | { readonly kind: 'file'; readonly bytes: Uint8Array }
  | { readonly kind: 'folder'; readonly names: readonly string[] }
  | { readonly kind: 'nothing' }

/** A call to run, in the form in which it is hashed. */
export interface Work {
  readonly call: Uint8Array
  /** The records of what it called, if it is only to be done again, alone. */
  readonly recorded?: readonly Uint8Array[]
  /** Whether a peer wants it, for whom less is done. */
  readonly isForPeer?: boolean
}

/** A block with its CID. */
export interface WorkBlock {
  readonly cid: Uint8Array
  readonly block: Uint8Array
}

/** What came of it. */
export type WorkEnd =
  | {
    readonly kind: 'record'
    readonly record: Uint8Array
    /** The records below it, and the parts of bodies that are too long to be in them. */
    readonly blocks: readonly WorkBlock[]
    /** The body of the answer to the page itself, if it is too long to be in the record. */
    readonly body?: Uint8Array | undefined
    readonly gas: number
    /** How long it ran, without what it waited for. */
    readonly milliseconds: number
  }
  /** Nothing was called: the contract has no such method, or there is no contract. */
  | { readonly kind: 'unanswered'; readonly status: number }
  /** It did other things than were recorded. */
  | { readonly kind: 'strayed' }
  /** This machine lacks something. */
  | { readonly kind: 'none'; readonly code: 'deadline' | 'resource'; readonly reason: string }

/** What a page says. */
export type WorkOrder =
  | { readonly kind: 'start'; readonly modules: readonly WebAssembly.Module[] }
  | { readonly kind: 'run'; readonly work: Work }
  | { readonly kind: 'content'; readonly content: WorkContent }

/** What a worker says: what it needs before it can go on, or the end. */
export type WorkAnswer =
  | { readonly kind: 'need'; readonly cid: string; readonly names: readonly string[] }
  | { readonly kind: 'end'; readonly end: WorkEnd }
