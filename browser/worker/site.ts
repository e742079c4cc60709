// What the site is asked. Browsers do not tell a service worker that nobody wants a request any more, such as one of
// a page that is gone, and their cache has one at a time of the same URL: the next one would wait for it for 20
// seconds.

declare const self: ServiceWorkerGlobalScope

/** How long a request without a head holds up another one of the same URL, in milliseconds. */
const LATE = 1000

export const after = (pause: number): Promise<undefined> =>
  new Promise(resolve => setTimeout(resolve, pause))

/** A request that has no head yet. */
interface Asked {
  readonly url: string
  readonly client: string
  readonly since: number
  readonly abort: AbortController
}

const awaited = new Set<Asked>()

/** What the site answers to a request of a client. */
export async function askSite(request: Request, client: string, abort: AbortController): Promise<Response> {
  const asked: Asked = { url: request.url, client, since: performance.now(), abort }
  const others = [...awaited].filter(({ url }) => url === asked.url)
  awaited.add(asked)
  request.signal.addEventListener('abort', () => abort.abort())
  void endUnwanted(client)
  try {
    return await (others.length === 0 || request.cache === 'only-if-cached'
      ? fetch(request, { signal: abort.signal }) : fetchBeside(others, request, abort.signal))
  } finally {
    awaited.delete(asked)
  }
}

/** Fetches what others are waiting for: past the cache, if one of them has waited for long. */
async function fetchBeside(others: readonly Asked[], request: Request, signal: AbortSignal): Promise<Response> {
  const usual = new AbortController()
  const end = (): void => usual.abort()
  signal.addEventListener('abort', end)
  const first = fetch(request, { signal: usual.signal })
  let hasBegun = false
  first.then(() => { hasBegun = true }, () => {})
  const past = async (): Promise<Response> => {
    await after(LATE + Math.min(...others.map(({ since }) => since)) - performance.now())
    if (hasBegun || signal.aborted || !others.some(other => awaited.has(other))) return first
    end()
    return fetch(request, { signal, cache: 'reload' })
  }
  return Promise.any([first, past()])
}

/** Ends what is asked for clients that are gone. */
async function endUnwanted(asking: string): Promise<void> {
  const clients = new Set([...awaited].map(({ client }) => client))
  clients.delete(asking)
  clients.delete('')
  for (const client of clients) {
    if (await self.clients.get(client) !== undefined) continue
    for (const { client: owner, abort } of awaited) if (owner === client) abort.abort()
  }
}
