// What the service worker and a page say to each other, over a port for each request.

/** What the worker wants of a page. */
export interface MeshRequest {
  readonly weft: 'fetch'
  /** An `ipfs:` URL. */
  readonly url: string
  readonly method: string
  readonly range: string | null
}

/** What a page wants of the worker: that it serves the page, too. */
export interface ClaimRequest {
  readonly weft: 'claim'
}

/**
 * What a page says: at once that it runs Weft, later what it answers, then a piece for each `more`, then
 * the end.
 */
export type MeshAnswer =
  | { readonly kind: 'taken' }
  | { readonly kind: 'head'; readonly status: number; readonly headers: [string, string][] }
  | { readonly kind: 'piece'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'failed'; readonly message: string }

/** What the worker says after its request: send the next piece, or stop. */
export type MeshDemand = 'more' | 'stop'
