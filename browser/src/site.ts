// The page's side of the service worker: it answers the worker's requests out of the mesh.

import { causeOf } from './errors.js'
import { cacheMode } from './requests.js'
import type { ClaimRequest, MeshAnswer, MeshDemand, MeshRequest, SiteNotice } from './messages.js'

type Fetch = (input: string, init: RequestInit) => Promise<Response>

/** How long the service worker may take until it serves the page, in milliseconds. */
const INSTALLATION = 10_000
/** How long an answer is kept of which nobody demands more, in milliseconds: workers may be ended. */
const DEMAND = 120_000

/**
 * Has the service worker at this URL serve the page. Resolves when it does, or when it has not in time:
 * then the site alone answers.
 */
export async function install(url: string | URL): Promise<void> {
  const { serviceWorker } = navigator
  if (serviceWorker === undefined) throw new TypeError('this browser or page has no service workers')
  let timer: ReturnType<typeof setTimeout> | undefined
  const isLate = new Promise<true>(resolve => {
    timer = setTimeout(() => resolve(true), INSTALLATION)
  })
  try {
    if (await Promise.race([takeOver(serviceWorker, url), isLate]) === true) {
      console.warn(`${url} does not serve this page yet; what it names by /ipfs/ comes from the site`)
    }
  } finally {
    clearTimeout(timer)
  }
}

async function takeOver(container: ServiceWorkerContainer, url: string | URL): Promise<void> {
  const { scope } = await container.register(url)
  if (!location.href.startsWith(scope)) {
    throw new TypeError(`${url} serves ${scope}, and not this page: put it at the top of the site`)
  }
  const isControlled = new Promise<void>(resolve => {
    if (container.controller !== null) return resolve()
    container.addEventListener('controllerchange', () => resolve(), { once: true })
  })
  const { active } = await container.ready
  // A page that was loaded past the worker (Shift+Reload) is served when the worker claims it.
  const claim: ClaimRequest = { weft: 'claim' }
  if (container.controller === null) active?.postMessage(claim)
  await isControlled
}

/** What the page's side needs of a `Weft`. */
export interface Mesh {
  fetch: Fetch
  isConnected(): boolean
  /** The site has brought so many bytes. */
  siteBrought(bytes: number): void
}

/** Answers the service worker's requests, until the function that it returns is called. */
export function answerWorker(mesh: Mesh): () => void {
  const listen = ({ data, ports }: MessageEvent<MeshRequest | SiteNotice>): void => {
    const port = ports[0]
    if (data?.weft === 'site') mesh.siteBrought(data.bytes)
    if (data?.weft === 'fetch' && port !== undefined) {
      const isConnected = mesh.isConnected()
      void answer((input, init) => mesh.fetch(input, init), data, port, isConnected)
    }
  }
  navigator.serviceWorker?.addEventListener('message', listen)
  return () => navigator.serviceWorker?.removeEventListener('message', listen)
}

/** What an answer goes over. */
export interface AnswerPort {
  onmessage: ((event: MessageEvent<MeshDemand>) => void) | null
  postMessage(answer: MeshAnswer): void
  close(): void
}

/** Answers a request piece by piece, as the other side demands them. */
export async function answer(
  fetch: Fetch, request: MeshRequest, port: AnswerPort, isConnected = true,
): Promise<void> {
  const say = (answer: MeshAnswer): void => port.postMessage(answer)
  const abort = new AbortController()
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  const end = (last?: MeshAnswer): void => {
    clearTimeout(timer)
    if (last !== undefined) say(last)
    port.close()
  }
  const fail = (error: unknown): void => {
    end({ kind: 'failed', message: (error as Error).message, cause: causeOf(error) })
  }
  const awaitDemand = (): void => {
    // There may have been several demands before a piece.
    clearTimeout(timer)
    timer = setTimeout(() => {
      abort.abort()
      end({ kind: 'failed', message: 'nobody has demanded more for two minutes', isIdle: true })
    }, DEMAND)
  }
  port.onmessage = async ({ data }: MessageEvent<MeshDemand>) => {
    clearTimeout(timer)
    if (data === 'stop') {
      abort.abort()
      return end()
    }
    try {
      const next = await reader?.read()
      if (next === undefined || next.done) return end({ kind: 'end' })
      say({ kind: 'piece', bytes: next.value })
      awaitDemand()
    } catch (error) {
      fail(error)
    }
  }
  say({ kind: 'taken', isConnected })
  try {
    const headers: Record<string, string> = request.range === null ? {} : { range: request.range }
    const { method, url, cache } = request
    const response = await fetch(
      url, { method, headers, signal: abort.signal, ...cacheMode(cache ?? 'default') })
    reader = response.body?.getReader()
    say({ kind: 'head', status: response.status, headers: [...response.headers] })
    awaitDemand()
  } catch (error) {
    fail(error)
  }
}
