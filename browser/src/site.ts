// The page's side of the service worker: it answers the worker's requests out of the mesh.

import type { MeshAnswer, MeshDemand, MeshRequest } from './messages.js'

type Fetch = (input: string, init: RequestInit) => Promise<Response>

/** Has the service worker at this URL serve the page. Resolves when it does. */
export async function install(url: string | URL): Promise<void> {
  const { serviceWorker } = navigator
  if (serviceWorker === undefined) throw new TypeError('this browser or page has no service workers')
  const isControlled = new Promise<void>(resolve => {
    if (serviceWorker.controller !== null) return resolve()
    serviceWorker.addEventListener('controllerchange', () => resolve(), { once: true })
  })
  await serviceWorker.register(url)
  await isControlled
}

/** Answers the service worker's requests, until the function that it returns is called. */
export function answerWorker(fetch: Fetch): () => void {
  const listen = ({ data, ports }: MessageEvent<MeshRequest>): void => {
    const port = ports[0]
    if (data?.weft !== 'fetch' || port === undefined) return
    void answer(fetch, data, port)
  }
  navigator.serviceWorker?.addEventListener('message', listen)
  return () => navigator.serviceWorker?.removeEventListener('message', listen)
}

async function answer(fetch: Fetch, request: MeshRequest, port: MessagePort): Promise<void> {
  const say = (answer: MeshAnswer): void => port.postMessage(answer)
  const abort = new AbortController()
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  port.onmessage = async ({ data }: MessageEvent<MeshDemand>) => {
    if (data === 'stop') {
      abort.abort()
      return port.close()
    }
    try {
      const next = await reader?.read()
      if (next === undefined || next.done) {
        say({ kind: 'end' })
        port.close()
      } else {
        say({ kind: 'piece', bytes: next.value })
      }
    } catch (error) {
      say({ kind: 'failed', message: (error as Error).message })
      port.close()
    }
  }
  say({ kind: 'taken' })
  try {
    const headers: Record<string, string> = request.range === null ? {} : { range: request.range }
    const { method, url } = request
    const response = await fetch(url, { method, headers, signal: abort.signal })
    reader = response.body?.getReader()
    say({ kind: 'head', status: response.status, headers: [...response.headers] })
  } catch (error) {
    say({ kind: 'failed', message: (error as Error).message })
    port.close()
  }
}
