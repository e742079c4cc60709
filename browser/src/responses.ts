// The responses that a page gets, as the browser's own would be.

import { whole } from './bodies.js'
import { networkError, WeftError } from './errors.js'
import type { Refusal } from './readings.js'

/** The most bytes that are held until their `integrity` is known. */
const MOST_CHECKED = 256 << 20

/** A response that says where it is from, as its clones do. */
export function at(url: string, response: Response): Response {
  return Object.defineProperties(response, { url: { value: url }, clone: { value: clone } })
}

/** What reads a body whole. */
const READERS = ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text']

/** The response, whose body says what it failed of: of a stream that fails Chromium says only that it has. */
export function telling(response: Response, fault: () => unknown): Response {
  const own = Response.prototype as unknown as Record<string, (() => Promise<unknown>) | undefined>
  for (const name of READERS) {
    const read = own[name]
    if (read === undefined) continue
    const value = function (this: Response): Promise<unknown> {
      return read.call(this).catch(error => { throw fault() ?? error })
    }
    Object.defineProperty(response, name, { value })
  }
  return response
}

function clone(this: Response): Response {
  const own = Object.getOwnPropertyDescriptors(this)
  return Object.defineProperties(Response.prototype.clone.call(this), own)
}

/** The response that says why there is no content. */
export function refusal(found: Refusal, url: string, method: string): Response {
  const headers = new Headers({ 'content-type': 'text/plain; charset=utf-8' })
  let message = found.message
  if (found.status === 416) {
    headers.set('content-range', `bytes */${message}`)
    message = `the content has ${message} bytes`
  }
  const body = method === 'HEAD' ? null : `${message}\n`
  return at(url, new Response(body, { status: found.status, headers }))
}

/** The hash functions of `integrity`, the stronger ones later, and their names for the browser. */
const functions = new Map([['sha256', 'SHA-256'], ['sha384', 'SHA-384'], ['sha512', 'SHA-512']])

/**
 * The response, when its body is what `integrity` says (w3.org/TR/SRI): read whole, so that nothing of it
 * is handed on before. Throws a TypeError if it is not, as `window.fetch` does.
 */
export async function checked(response: Response, { integrity, url }: Request): Promise<Response> {
  const { name, digests } = strongest(integrity)
  if (name === undefined) return response
  const refuse = (what: string): TypeError =>
    networkError(url, new WeftError('unverifiable', what, []))
  if (crypto.subtle === undefined) throw refuse('an insecure page cannot check its integrity')
  if (response.body === null) throw refuse('there is no body whose integrity could be checked')
  const body = await whole(response.body, MOST_CHECKED)
  if (body === undefined) {
    throw refuse(`it has more than ${MOST_CHECKED} bytes, of which the integrity is not checked`)
  }
  const digest = new Uint8Array(await crypto.subtle.digest(name, await body.arrayBuffer()))
  if (!digests.includes(btoa(String.fromCharCode(...digest)))) {
    throw refuse(`its ${name} is not that of its integrity`)
  }
  const { status, statusText, headers } = response
  const own = Object.getOwnPropertyDescriptors(response)
  return Object.defineProperties(new Response(body.stream(), { status, statusText, headers }), own)
}

/** The strongest hash function that integrity metadata names, and the digests of it. */
function strongest(integrity: string): { name: string | undefined; digests: string[] } {
  const entries = integrity.split(/\s+/).flatMap(entry => {
    const [, name, digest] = /^(sha256|sha384|sha512)-([\w+/-]+=*)(?:\?.*)?$/.exec(entry) ?? []
    return name === undefined ? [] : [{ name, digest: digest!.replace(/-/g, '+').replace(/_/g, '/') }]
  })
  const name = [...functions.keys()].reverse().find(name => entries.some(entry => entry.name === name))
  const digests = entries.filter(entry => entry.name === name).map(({ digest }) => digest)
  return { name: name && functions.get(name), digests }
}
