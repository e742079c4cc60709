// What becomes of the record of a call: the `Response` that the page gets, as a gateway would give it.

import type { MeshResponse } from './contracts.js'
import { WeftError } from './errors.js'
import { at } from './responses.js'
import { lines, pairs, unpack } from './parts.js'

/** A record in parts, as the module for calls takes it apart. */
export interface RecordParts {
  readonly cid: string
  readonly outcome: string
  readonly status: number | undefined
  readonly gas: number
  readonly ownGas: number
  readonly headers: readonly [string, string][]
  /** The body, and the CID of one that is too long to be in the record. */
  readonly body: Uint8Array
  readonly content: string
  readonly reads: readonly string[]
  readonly children: readonly string[]
  readonly call: Uint8Array
}

/** The parts of a record. */
export function recordOf(bytes: Uint8Array): RecordParts {
  const parts = unpack(bytes)
  const [cid, outcome, status, gas, ownGas, content] = lines(parts[0])
  const list = (part: Uint8Array): string[] => lines(part).filter(line => line !== '')
  return {
    cid: cid!, outcome: outcome!, status: status === '' ? undefined : Number(status),
    gas: Number(gas), ownGas: Number(ownGas), content: content!,
    headers: pairs(parts[1]!), body: parts[2]!, reads: list(parts[3]!), children: list(parts[4]!), call: parts[5]!,
  }
}

/**
 * The response to a request. `told` is who answered, what may be believed of it, what was paid, and then
 * what was tried; `read` brings a long body.
 */
export async function responseTo(
  request: Request, record: RecordParts, told: readonly string[],
  read: (cid: string) => Promise<Uint8Array | undefined>,
): Promise<Response> {
  const [responder, confidence, cost, ...trace] = told
  let response: Response
  if (record.outcome !== 'ok') {
    const why = record.outcome === 'out-of-gas'
      ? `: it was given ${record.gas} gas, of which one activation may use ${2 ** 32} by itself` : ''
    response = refusal(request, 500, `the contract did not answer: ${record.outcome}${why}`)
    response.headers.set('weft-outcome', record.outcome)
  } else {
    // A header is text in UTF-8, of which browsers take the bytes.
    const headers = new Headers(record.headers
      .filter(([name]) => !isTransport(name))
      .map(([name, value]): [string, string] => [
        name, String.fromCharCode(...new TextEncoder().encode(value)),
      ]))
    let body: Uint8Array | undefined = record.body
    if (record.content !== '') {
      body = await read(record.content)
      if (body === undefined) throw new WeftError('unreadable', 'the answer is no file', trace)
      headers.set('weft-content', record.content)
    }
    headers.set('content-length', `${body.length}`)
    const isBare = request.method === 'HEAD' || [204, 205, 304].includes(record.status!)
    response = new Response(isBare ? null : body, { status: record.status!, headers })
  }
  response.headers.set('weft-gas', `${record.gas}`)
  response.headers.set('weft-record', record.cid)
  response.headers.set('weft-responder', responder!)
  response.headers.set('weft-confidence', confidence!)
  response.headers.set('weft-cost', cost!)
  const mesh: MeshResponse = {
    gas: record.gas, record: record.cid, responder: responder!, confidence: confidence!,
    cost: Number(cost), trace,
  }
  return Object.defineProperties(at(request.url, response), { mesh: { value: mesh } })
}

/**
 * Headers that belong to a connection or to who serves it, or that give a page powers over the whole of
 * an origin. Contracts cannot set them.
 */
function isTransport(name: string): boolean {
  return transport.has(name) || name.startsWith('access-control-')
    || name.startsWith('weft-') && name !== 'weft-exit'
}

const transport = new Set([
  'alt-svc', 'clear-site-data', 'connection', 'content-length', 'date', 'keep-alive', 'nel',
  'proxy-authenticate', 'report-to', 'reporting-endpoints', 'server', 'service-worker-allowed', 'set-cookie',
  'strict-transport-security', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'www-authenticate',
])

/** The response that says why there is no answer. */
export function refusal(request: Request, status: number, message: string): Response {
  const body = request.method === 'HEAD' ? null : `${message}\n`
  const headers = { 'content-type': 'text/plain; charset=utf-8' }
  return at(request.url, new Response(body, { status, headers }))
}
