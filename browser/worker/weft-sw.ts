// The service worker: what a page names by `/ipfs/CID/path` on its own site, in an `<img>`, a
// `<video>`, a style sheet or a `fetch`, comes from the mesh when a page with Weft is open, and from
// the site when that is quicker, or fails. It keeps nothing, because browsers end it at any time.

import type { ClaimRequest, MeshAnswer, MeshDemand, MeshRequest, SiteNotice } from '../src/messages.js'
import { Pace } from './pace.js'
import { relieved } from './relief.js'
import { restOf } from './rest.js'
import { after, askSite } from './site.js'

declare const self: ServiceWorkerGlobalScope
declare global {
  /** TypeScript 4.8 does not know that workers have it. */
  interface AbortController {
    abort(): void
  }
}

/** As browsers have it from Chrome 123 on; TypeScript 4.8 does not know it. */
interface InstallEvent extends ExtendableEvent {
  addRoutes?(rules: readonly object[]): Promise<void>
}

/** How much later than the site the mesh may answer and still be taken, in milliseconds. */
const GRACE = 4
/** The longest that the mesh alone is asked, in milliseconds. */
const HEAD_START = 100
/** How many pieces of an answer are on their way at a time: a picture's only one, and the end after it. */
const AHEAD = 2
/** For how long it is believed which pages are open, in milliseconds. */
const FRESH = 100
/** How much later than an answer of the site that the worker cannot look at, in milliseconds. */
const UNSEEN_GRACE = 1000
/** For how long nothing may come of what the mesh has begun until the site is asked for the rest as well. */
const STALL = 1000
/** How long a page has to say that it runs Weft, in milliseconds. */
const PATIENCE = 1000
/** After how long the next page is asked beside one that has not said so, in milliseconds. */
const HESITATION = 50
/** How long it may take then until it answers, and until each piece comes, in milliseconds. */
const ANSWER_PATIENCE = 30_000
/**
 * How long it may take when the site has said that it has nothing: of a page that is connected with peers, and of one
 * that is not, in milliseconds.
 */
const [UNANSWERED, UNCONNECTED] = [2000, 10_000]

/**
 * What acts with the rights of a site: only the site gives it, as a policy of `script-src 'self'` means. Whose
 * bytes a CID in a URL names, the worker does not know.
 */
const ACTING: ReadonlySet<string> = new Set([
  'audioworklet', 'document', 'embed', 'frame', 'iframe', 'manifest', 'object', 'paintworklet', 'script',
  'serviceworker', 'sharedworker', 'worker', 'xslt',
])

/** What browsers take of its own type alone. */
const TYPED: Readonly<Record<string, string>> = { style: 'text/css', track: 'text/vtt' }

/** What is said of each answer of the mesh: whatever it is, it acts for nobody. */
const HARMLESS = { 'content-security-policy': 'sandbox', 'x-content-type-options': 'nosniff' }

/**
 * Whether the mesh was as quick as the site when both were asked last: then it alone is asked at first,
 * for as long as the site took. Browsers end workers at any time; a new one asks both again.
 */
let isMeshQuick = false
/** How long the site took until it began to answer, in milliseconds. */
let siteTime = 0
const pace = new Pace(() => (siteTime || HEAD_START) + GRACE)

self.addEventListener('install', event => {
  void self.skipWaiting()
  // Where browsers can be told so, what is not ours does not come by here at all, and need not wait.
  ;(event as InstallEvent).addRoutes?.([
    { condition: { urlPattern: { pathname: '/ipfs/*' } }, source: 'fetch-event' },
    { condition: { urlPattern: { pathname: '/*' } }, source: 'network' },
  ])
})
self.addEventListener('activate', event => event.waitUntil(self.clients.claim()))

self.addEventListener('message', event => {
  const request = event.data as Partial<ClaimRequest> | null
  if (request?.weft === 'claim') event.waitUntil(self.clients.claim())
})

self.addEventListener('fetch', event => {
  const { request } = event
  const url = new URL(request.url)
  // What is not ours is not touched.
  if (url.origin !== self.location.origin || !url.pathname.startsWith('/ipfs/')) return
  if (request.method !== 'GET' && request.method !== 'HEAD') return
  // Another form of the content, such as a block, is the site's to give.
  if (url.searchParams.has('format')) return
  if (request.headers.get('accept')?.includes('application/vnd.ipld') === true) return
  if (request.headers.has('authorization') || request.mode === 'navigate') return
  if (ACTING.has(request.destination)) return
  // A script that insists on cookies wants the site's own answer. Elements say the same of all that
  // they load, so that cookies do not show what is private: nothing under /ipfs/ may be.
  if (request.credentials === 'include' && request.destination === '') return
  const name = url.searchParams.get('filename')
  const query = name === null ? '' : `?filename=${encodeURIComponent(name)}`
  event.respondWith(answer(request, `ipfs://${url.pathname.slice('/ipfs/'.length)}${query}`, event.clientId))
})

/** The quicker of the mesh and the site; the site if the mesh has nothing to say. */
async function answer(request: Request, url: string, client: string): Promise<Response> {
  const over = new AbortController()
  const mesh = fromMesh(request, url, client)
  mesh.answer.then(() => pace.meshAnswered(), () => {})
  pace.begin()
  if (isMeshQuick) pace.lead()
  try {
    for (;;) {
      if (pace.isMeshAhead && !mesh.isOver()) {
        const first = await Promise.race([mesh.answer.catch(() => null), pace.change(over.signal)])
        if (first instanceof Response) return first
        isMeshQuick = false
      }
      const first = await quicker(request, mesh, client, over.signal)
      if (first !== undefined) return first
    }
  } finally {
    over.abort()
    pace.end()
  }
}

/** The quicker of the two, which are both asked; nothing if it has turned out that the mesh is to be asked alone. */
async function quicker(
  request: Request, mesh: MeshQuestion, client: string, isOver: AbortSignal,
): Promise<Response | undefined> {
  const abort = new AbortController()
  const asked = performance.now()
  const passed = (): number => Math.min(HEAD_START, performance.now() - asked)
  let hasSite = false
  const site = askSite(request, client, abort).then(async response => {
    // Where the site sends the browser to another one, this may be an error: the mesh goes before it.
    const isUnseen = response.type === 'opaque'
    if (!response.ok && !isUnseen) {
      void mesh.hurry()
      throw response
    }
    hasSite = true
    siteTime = passed()
    pace.siteAnswered()
    if (isUnseen) await Promise.race([mesh.answer.catch(() => {}), after(UNSEEN_GRACE)])
    return response
  })
  const first = Promise.any([
    mesh.answer.then(response => ({ response, isMesh: true })),
    site.then(async response => {
      // What is on its way from peers may come a little later, and costs the site nothing then.
      if (mesh.isUnderWay()) await Promise.race([mesh.answer.catch(() => {}), after(GRACE)])
      return { response, isMesh: false }
    }),
  ])
  const isAhead = pace.change(isOver).then(() => (hasSite || mesh.isOver() ? first : undefined))
  try {
    const winner = await Promise.race([first, isAhead])
    if (winner === undefined) {
      abort.abort()
      first.catch(() => {})
      return undefined
    }
    isMeshQuick = winner.isMesh
    if (winner.isMesh) {
      // The site takes at least as long.
      siteTime = Math.max(siteTime, passed())
      abort.abort()
      return winner.response
    }
    const end = (bytes: number, isRelieved: boolean): void => {
      isMeshQuick ||= isRelieved
      mesh.stop()
      void tellOfSite(client, bytes)
    }
    if (!mesh.isOver() && winner.response.ok) return relieved(winner.response, mesh.answer, end)
    end(Number(winner.response.headers.get('content-length') ?? 0), false)
    return winner.response
  } catch {
    // Both failed; the site says why in its own way.
    return site.catch(refusal => (refusal instanceof Response ? refusal : Response.error()))
  }
}

/** Lets the page know what the site had to bring. */
async function tellOfSite(client: string, bytes: number): Promise<void> {
  const notice: SiteNotice = { weft: 'site', bytes }
  ;(await self.clients.get(client))?.postMessage(notice)
}

/** An answer of the mesh that is awaited. */
interface MeshQuestion {
  readonly answer: Promise<Response>
  /** Whether a page that is connected with peers has taken it. */
  isUnderWay(): boolean
  /** Whether there is none. */
  isOver(): boolean
  /** The site has nothing: one that has not begun is not waited for as long. */
  hurry(): Promise<void>
  stop(): void
}

function fromMesh(request: Request, url: string, client: string): MeshQuestion {
  const cancelled = new AbortController()
  let [isUnderWay, hasBegun, isOver] = [false, false, false]
  let begin = (): void => {}
  const underWay = new Promise<void>(resolve => { begin = resolve })
  const answer = askPages(request, url, client, cancelled.signal, () => {
    isUnderWay = true
    begin()
  })
  answer.then(() => { hasBegun = true }, () => { isOver = true })
  return {
    answer, isUnderWay: () => isUnderWay, isOver: () => isOver, stop: () => cancelled.abort(),
    hurry: async () => {
      await Promise.race([underWay.then(() => after(UNANSWERED)), after(UNCONNECTED)])
      if (!hasBegun) cancelled.abort()
    },
  }
}

/** What the first page that runs Weft answers, if it is the content or that it has no such range. */
async function askPages(
  request: Request, url: string, client: string, cancelled: AbortSignal, underWay: () => void,
): Promise<Response> {
  const { method, headers } = request
  const message: MeshRequest = { weft: 'fetch', url, method, range: headers.get('range') }
  // Who asks is likely to have it.
  const pages = [...await openPages(client)]
    .sort((left, right) => Number(right.id === client) - Number(left.id === client))
  const type = TYPED[request.destination]
  return askFirst(pages, { message, place: request.url, type, cancelled }, underWay)
}

/** The pages that were open a moment ago: the pictures of a page are asked for all at once. */
let lately: { readonly time: number; readonly pages: Promise<readonly Client[]> } | undefined

/** The open pages, among them the one that asks. */
async function openPages(client: string): Promise<readonly Client[]> {
  const known = lately
  if (known !== undefined && performance.now() - known.time < FRESH) {
    const pages = await known.pages
    if (client === '' || pages.some(({ id }) => id === client)) return pages
  }
  const pages = self.clients.matchAll({ type: 'window' })
  lately = { time: performance.now(), pages }
  return pages
}

/**
 * Asks one page, and the others if it has no answer. One that has no peers yet, or has said nothing yet, is asked
 * beside them.
 */
async function askFirst(
  [page, ...others]: readonly Client[], wanted: Wanted, underWay: () => void,
): Promise<Response> {
  const { cancelled } = wanted
  if (page === undefined || cancelled.aborted) throw new TypeError('no page runs Weft')
  const question = ask(page, wanted)
  question.answer.catch(() => {})
  void question.taken.then(isConnected => (isConnected === true ? underWay() : undefined))
  const isConnected = await Promise.race([question.taken, after(HESITATION).then(() => false)])
  const askOthers = (signal: AbortSignal): Promise<Response> =>
    askFirst(others, { ...wanted, cancelled: signal }, underWay)
  if (isConnected === undefined) return askOthers(cancelled)
  if (isConnected) {
    return question.answer.catch(error => {
      if (others.length === 0) throw error
      return askOthers(cancelled)
    })
  }
  if (others.length === 0) return question.answer
  const isAnswered = new AbortController()
  const end = (): void => isAnswered.abort()
  cancelled.addEventListener('abort', end)
  const own = question.answer.then(response => {
    end()
    return response
  })
  const other = askOthers(isAnswered.signal).then(response => {
    // What the page here answers later nobody wants; what the other one does goes on.
    if (!isAnswered.signal.aborted) question.stop()
    return response
  })
  return Promise.any([own, other])
}

/** What one page is asked. */
interface PageQuestion {
  /** Whether it is connected with peers; undefined if it does not run Weft. */
  readonly taken: Promise<boolean | undefined>
  /** Its answer, if that is the content or that it has no such range. */
  readonly answer: Promise<Response>
  stop(): void
}

/** What is asked of pages, and where the site has it. */
interface Wanted {
  readonly message: MeshRequest
  readonly place: string
  /** The type without which it is of no use; the site may know better. */
  readonly type: string | undefined
  readonly cancelled: AbortSignal
}

function ask(page: Client, { message, place, type, cancelled }: Wanted): PageQuestion {
  const { port1: port, port2: theirs } = new MessageChannel()
  const say = (demand: MeshDemand): void => port.postMessage(demand)
  let demanded = 0
  const demand = (): void => {
    for (; demanded < AHEAD; demanded += 1) say('more')
  }
  let take = (_: boolean | undefined): void => {}
  const taken = new Promise<boolean | undefined>(resolve => { take = resolve })
  let stop = (): void => {}
  const answer = new Promise<Response>((resolve, reject) => {
    let controller: ReadableStreamDefaultController<Uint8Array> | undefined
    let timer: ReturnType<typeof setTimeout> | undefined
    let stall: ReturnType<typeof setTimeout> | undefined
    let head = new Headers()
    let given = 0
    /** What the site brings after the mesh has broken off. */
    let rest: Promise<ReadableStreamDefaultReader<Uint8Array>> | undefined
    const left = new AbortController()
    /** The rest is asked of the site while the mesh says nothing, unless the site has none. */
    let hedge: AbortController | undefined
    let hasSite = true
    const hurry = async (): Promise<void> => {
      const { signal } = hedge = new AbortController()
      try {
        const reader = await restOf(place, head, given, signal)
        const { done, value } = await reader.read()
        if (signal.aborted || isOver) return void reader.cancel()
        say('stop')
        close()
        rest = Promise.resolve(reader)
        if (done) controller!.close()
        else controller!.enqueue(value)
      } catch {
        // The site does not have it: the mesh may go on.
        hasSite = signal.aborted
      }
    }
    const goOn = async (): Promise<void> => {
      try {
        rest ??= restOf(place, head, given, left.signal)
        const { done, value } = await (await rest).read()
        if (done) controller!.close()
        else controller!.enqueue(value)
      } catch (error) {
        controller!.error(error)
      }
    }
    let isOver = false
    const close = (): void => {
      isOver = true
      clearTimeout(timer)
      clearTimeout(stall)
      cancelled.removeEventListener('abort', stop)
      port.close()
    }
    stop = () => {
      say('stop')
      fail('it is not wanted any more', false)
    }
    const fail = (message: string, isWanted = true): void => {
      if (isOver) return
      close()
      const error = new TypeError(message)
      take(undefined)
      reject(error)
      if (isWanted && controller !== undefined) void goOn()
      else controller?.error(error)
    }
    const awaitAnswer = (): void => {
      clearTimeout(timer)
      timer = setTimeout(() => {
        say('stop')
        fail('the mesh has fallen silent')
      }, ANSWER_PATIENCE)
    }
    timer = setTimeout(() => stop(), PATIENCE)
    cancelled.addEventListener('abort', stop)
    port.onmessage = ({ data }: MessageEvent<MeshAnswer>) => {
      switch (data.kind) {
        case 'taken':
          take(data.isConnected)
          return awaitAnswer()
        case 'head': {
          clearTimeout(timer)
          const { status } = data
          const headers = { ...Object.fromEntries(data.headers), ...HARMLESS }
          head = new Headers(headers)
          const isOther = type !== undefined && head.get('content-type')?.startsWith(type) !== true
          const isGood = (status < 300 && !isOther) || (status === 416 && message.range !== null)
          if (!isGood || message.method === 'HEAD') {
            say('stop')
            close()
            if (isGood) return resolve(new Response(null, { status, headers }))
            return reject(new TypeError(`the mesh answers ${status}`))
          }
          const body = new ReadableStream<Uint8Array>({
            start: started => { controller = started },
            pull: () => {
              if (rest !== undefined) return goOn()
              demand()
              if (hedge === undefined && hasSite) {
                clearTimeout(stall)
                stall = setTimeout(hurry, STALL)
              }
              return awaitAnswer()
            },
            cancel: () => {
              left.abort()
              hedge?.abort()
              say('stop')
              close()
            },
          })
          return resolve(new Response(body, { status, headers }))
        }
        case 'piece':
          clearTimeout(timer)
          clearTimeout(stall)
          hedge?.abort()
          hedge = undefined
          demanded -= 1
          given += data.bytes.length
          return controller?.enqueue(data.bytes)
        case 'end':
          close()
          return controller?.close()
        case 'failed': return fail(data.fault.message)
      }
    }
    page.postMessage(message, [theirs])
    if (message.method !== 'HEAD') demand()
  })
  return { taken, answer, stop: () => stop() }
}
