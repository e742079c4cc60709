// The page's side of the service worker.

import type { ClaimRequest, MeshRequest, Reminder, SiteNotice } from './messages.js'
import type { PageSaid } from './talk.js'

/** How long the service worker may take until it serves the page, in milliseconds. */
const INSTALLATION = 10_000

/** How often the service worker is told that it is needed, in milliseconds. */
const REMINDER = 10_000
/** For how long after it has last asked for something: longer than slow downloads take. */
const ATTENTION = 3_600_000

/**
 * Has the service worker at this URL serve the page. Resolves when it does, or when it does not: then the site alone
 * answers. Throws if the worker lies where it cannot serve the page, which is the site's mistake.
 */
export async function install(url: string | URL): Promise<void> {
  const { serviceWorker } = navigator
  if (serviceWorker === undefined) return warn(url, 'this browser or page has no service workers')
  let timer: ReturnType<typeof setTimeout> | undefined
  const isLate = new Promise<true>(resolve => {
    timer = setTimeout(() => resolve(true), INSTALLATION)
  })
  try {
    if (await Promise.race([takeOver(serviceWorker, url), isLate]) === true) {
      warn(url, 'it takes long')
    }
  } finally {
    clearTimeout(timer)
  }
}

/** A page does without it. */
function warn(url: string | URL, reason: string): void {
  console.warn(`${url} does not serve this page (${reason}); what it names by /ipfs/ comes from the site`)
}

async function takeOver(container: ServiceWorkerContainer, url: string | URL): Promise<void> {
  let scope
  try {
    ({ scope } = await container.register(url))
  } catch (error) {
    return warn(url, (error as Error).message)
  }
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

/**
 * Hears what the service worker wants, until the function that it returns is called: its requests are passed
 * on to the page's node, which answers the worker itself. Firefox ends a worker that has heard of nothing new for
 * 30 s, and with it, without a word, the answers that are under way: so it is told something now and then.
 */
export function listenToWorker(hear: (said: PassedOn) => void): () => void {
  let asked = 0
  let timer: ReturnType<typeof setInterval> | undefined
  const rest = (): void => {
    clearInterval(timer)
    timer = undefined
  }
  const remind = (): void => {
    if (performance.now() - asked > ATTENTION) return rest()
    const reminder: Reminder = { weft: 'needed' }
    navigator.serviceWorker.controller?.postMessage(reminder)
  }
  const listen = ({ data, ports }: MessageEvent<MeshRequest | SiteNotice>): void => {
    asked = performance.now()
    timer ??= setInterval(remind, REMINDER)
    const port = ports[0]
    if (data?.weft === 'site') hear({ kind: 'site', bytes: data.bytes })
    if (data?.weft === 'fetch' && port !== undefined) hear({ kind: 'pass', request: data, port })
  }
  navigator.serviceWorker?.addEventListener('message', listen)
  return () => {
    rest()
    navigator.serviceWorker?.removeEventListener('message', listen)
  }
}

type PassedOn = Extract<PageSaid, { kind: 'pass' | 'site' }>
