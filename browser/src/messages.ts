// What workers say to each other: the service worker, or another tab, and the page's node for each request;
// and the worker that keeps blocks on disk.

import type { MeshResponse } from './contracts.js'
import type { WeftErrorCode } from './errors.js'

/** What the service worker, or another tab, wants. */
export interface MeshRequest {
  readonly weft: 'fetch'
  /** An `ipfs:` or `ipns:` URL. */
  readonly url: string
  readonly method: string
  readonly range: string | null
  /** What may be answered from what is kept, as in a `Request`; it matters for names. */
  readonly cache?: RequestCache
}

/** What a page wants of the worker: that it serves the page, too. */
export interface ClaimRequest {
  readonly weft: 'claim'
}

/** What a page tells the worker while it may be at work: there are things to do. */
export interface Reminder {
  readonly weft: 'needed'
}

/** What the worker tells the page that asked: the site has brought so many bytes. */
export interface SiteNotice {
  readonly weft: 'site'
  readonly bytes: number
}

/**
 * What is answered: at once that Weft runs and whether peers are connected, later the head, then a piece for
 * each `more`, then the end.
 */
export type MeshAnswer =
  | { readonly kind: 'taken'; readonly isConnected: boolean }
  | {
      readonly kind: 'head'
      readonly status: number
      readonly headers: [string, string][]
      /** Of a call. */
      readonly mesh?: MeshResponse
    }
  | { readonly kind: 'piece'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }
  | {
      readonly kind: 'failed'
      readonly fault: Fault
      /** Whether nothing went wrong, but that nobody has demanded more for long. */
      readonly isIdle?: boolean
    }

/** An error as it is told, with the `WeftError` that it has or is. */
export interface Fault {
  readonly name: string
  readonly message: string
  readonly cause?: {
    readonly code: WeftErrorCode
    readonly what: string
    readonly trace: readonly string[]
  }
}

/** What is said after a request: send the next piece, or stop. */
export type MeshDemand = 'more' | 'stop'

/** What a page wants of the worker that keeps blocks. Hashes are in hexadecimal. */
export type StoreCommand =
  /** Open what there is, for at most so many bytes if that is said. */
  | { readonly kind: 'open'; readonly limit: number | undefined }
  /** Keep a block: these bytes, or those that were to be hashed under this number. */
  | { readonly kind: 'keep'; readonly hash: string; readonly block: Uint8Array | number }
  /** Tell the SHA2-256 of a block, and have it until it is kept or forgotten. */
  | { readonly kind: 'hash'; readonly number: number; readonly bytes: Uint8Array }
  | { readonly kind: 'forget'; readonly number: number }
  | { readonly kind: 'load'; readonly number: number; readonly hash: string }
  | { readonly kind: 'drop'; readonly hash: string }
  | { readonly kind: 'close' }

/** What that worker says. */
export type StoreNotice =
  /** Another page has what there is; this one gets it when that is gone. */
  | { readonly kind: 'busy' }
  | { readonly kind: 'opened'; readonly blocks: string[]; readonly byteCount: number }
  /** A block was to be kept: what has come and gone, and how many bytes wait no more. */
  | {
      readonly kind: 'changed'
      readonly written: number
      readonly added: string | undefined
      readonly removed: string[]
      readonly byteCount: number
    }
  | {
      readonly kind: 'loaded'
      readonly number: number
      readonly hash: string
      readonly block: { readonly bytes: Uint8Array; readonly digest: Uint8Array } | undefined
    }
  | { readonly kind: 'hashed'; readonly number: number; readonly digest: Uint8Array }
  /** Memory that is needed no more, and may serve for another block. */
  | { readonly kind: 'free'; readonly memory: ArrayBuffer }
  /** All is written, and the worker is gone. */
  | { readonly kind: 'closed' }
  /** Nothing can be kept. */
  | { readonly kind: 'failed'; readonly message: string }
