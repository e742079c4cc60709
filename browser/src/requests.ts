// What is read out of a request: the URL, the range, and the type of what is named.

import type { MeshRequest } from './messages.js'

/** A root and the names below it. */
export interface ContentPath {
  /** A CID, or a name at first. */
  readonly root: string
  readonly names: readonly string[]
}

/** The path that an `ipfs://` or `ipns://` URL names. Throws a TypeError if it names none. */
export function contentPath(url: URL): ContentPath {
  const root = url.host
  if (root === '') throw new TypeError(`${url.href} names nothing: ipfs://CID/path, ipns://NAME/path`)
  // No name has a zero byte, and the module is told names with one between them.
  if (url.pathname.includes('%00')) throw new TypeError(`a name in ${url.href} has a zero byte`)
  const names = url.pathname.split('/').filter(name => name !== '')
  try {
    return { root, names: names.map(decodeURIComponent) }
  } catch {
    throw new TypeError(`the path of ${url.href} is not percent-encoded UTF-8`)
  }
}

/** The bytes that a request wants: both included, negative counts from the end. */
export interface ByteRange {
  readonly from: number
  readonly to: number | undefined
}

/** A position that lies beyond every end. */
const BEYOND = Number.MAX_SAFE_INTEGER

/** The range of a `Range` header; undefined if it has to be ignored (RFC 9110, section 14.2). */
export function byteRange(header: string | null): ByteRange | undefined {
  const parts = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '')
  if (parts === null) return undefined
  const [first, last] = [parts[1]!, parts[2]!]
  const [from, to] = [Math.min(Number(first), BEYOND), Math.min(Number(last), BEYOND)]
  // The last zero bytes are none, so that there is no such range.
  if (first === '') return last === '' ? undefined : { from: to === 0 ? BEYOND : -to, to: undefined }
  if (last === '') return { from, to: undefined }
  return to < from ? undefined : { from, to }
}

/** How a request says what may be answered from what is kept; one mode takes another of it (fetch, 5.4). */
export function cacheMode(cache: RequestCache): RequestInit {
  return cache === 'only-if-cached' ? { cache, mode: 'same-origin' } : { cache }
}

/** The request that the service worker, or another tab, means. */
export function requestOf({ url, method, range, cache }: MeshRequest, signal: AbortSignal): Request {
  const headers: Record<string, string> = range === null ? {} : { range }
  return new Request(url, { method, headers, signal, ...cacheMode(cache ?? 'default') })
}

/** Whether a request names something in the mesh. All else is the browser's, which looks closer. */
export function isOfMesh(input: RequestInfo | URL): boolean {
  try {
    const { protocol } = new URL(input instanceof Request ? input.url : input)
    return protocol === 'ipfs:' || protocol === 'ipns:' || protocol === 'weft:'
  } catch {
    // A relative URL, or none.
    return false
  }
}

const types: Record<string, string> = {
  avif: 'image/avif', css: 'text/css; charset=utf-8',
  csv: 'text/csv; charset=utf-8', gif: 'image/gif', htm: 'text/html; charset=utf-8',
  html: 'text/html; charset=utf-8', ico: 'image/x-icon', jpeg: 'image/jpeg', jpg: 'image/jpeg',
  js: 'text/javascript; charset=utf-8', json: 'application/json', m4a: 'audio/mp4',
  md: 'text/markdown; charset=utf-8', mjs: 'text/javascript; charset=utf-8', mp3: 'audio/mpeg',
  mp4: 'video/mp4', oga: 'audio/ogg', ogg: 'audio/ogg', ogv: 'video/ogg', opus: 'audio/ogg',
  pdf: 'application/pdf', png: 'image/png', svg: 'image/svg+xml', txt: 'text/plain; charset=utf-8',
  wasm: 'application/wasm', wav: 'audio/wav', webm: 'video/webm', webp: 'image/webp',
  woff2: 'font/woff2', xml: 'application/xml', zip: 'application/zip',
}

/** The type that a name tells by its end, if it is one of the usual. */
export function mediaType(name: string): string | undefined {
  return types[/[^]\.([^.]+)$/.exec(name)?.[1]?.toLowerCase() ?? '']
}
