// A gallery: the pictures of a folder, each fetched from the mesh, with a picture of where its
// pieces came from. The folder's `gallery.json` says what is in it.

import '/weft-status.js'
import '../../shared/cloth.js'
import { bytes, byId, make } from '../../shared/dom.js'
import { contentOfPage, nameOf, nodeFacts, startPeer } from '../../shared/peer.js'

interface Picture {
  readonly file: string
  readonly title: string
  /** What is to be seen, for who does not see it. */
  readonly alt: string
}

interface Contents {
  readonly title: string
  readonly text: string
  readonly pictures: readonly Picture[]
}

/** The most pictures of one page, and the longest list of them. */
const MOST = 200
/** The longest list, the largest picture, and all of them together, in bytes. */
const LONGEST_LIST = 256 << 10
const LARGEST = 64 << 20
const LARGEST_SUM = 512 << 20
/** What pictures may be. Other types, such as SVG, could be documents with scripts. */
const TYPES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif']
/** How many pieces of a picture are drawn. */
const MOST_PIECES = 128
/** How many are fetched at a time. */
const AT_ONCE = 4

const notice = byId('notice')

/** How long an answer says it is; throws if that is more than it may be. */
function length(response: Response, most: number): number {
  const count = Number(response.headers.get('content-length') ?? Infinity)
  if (!(count <= most)) {
    void response.body?.cancel()
    throw new RangeError('it is too large')
  }
  return count
}

function fail(message: string): void {
  notice.textContent = message
  notice.hidden = false
}

/** The list, if it is one. */
function checked(value: unknown): Contents {
  const { title, text, pictures } = value as Partial<Contents>
  const isList = Array.isArray(pictures) && pictures.length <= MOST && pictures.every(
    ({ file, title, alt }) => [file, title, alt].every(part => typeof part === 'string'))
  if (!isList || typeof title !== 'string' || typeof text !== 'string') {
    throw new TypeError('gallery.json does not say what it should')
  }
  return { title, text, pictures: pictures! }
}

async function show(): Promise<void> {
  const root = contentOfPage()
  const [facts, weft] = await Promise.all([nodeFacts(), startPeer()])
  byId<HTMLElementTagNameMap['weft-status']>('status').weft = weft
  const cloth = byId<HTMLElementTagNameMap['weft-cloth']>('cloth')
  cloth.watch(weft, peer => nameOf(weft, facts?.peer, peer))
  if (root === undefined) {
    return fail('Which folder? Its CID belongs behind the # of this address; `make run` prints one.')
  }
  let why = 'This folder has no gallery.json, so that there is nothing to show.'
  const response = await weft.fetch(`ipfs://${root}/gallery.json`).catch(async (error: Error) => {
    // What the site says of content that nobody has is not that the folder lacks it.
    why = `The pictures could not be fetched: ${error.message}`
    return fetch(`/ipfs/${root}/gallery.json`).catch(() => Response.error())
  })
  if (!response.ok) return fail(why)
  length(response, LONGEST_LIST)
  const contents = checked(await response.json())
  document.title = `${contents.title} · Weft`
  byId('title').textContent = contents.title
  byId('text').textContent = contents.text
  notice.hidden = true

  const strips = new Map<string, HTMLElement>()
  weft.addEventListener('piece', ({ detail }) => {
    const strip = detail.url === undefined ? undefined : strips.get(detail.url)
    if (strip === undefined || strip.children.length >= MOST_PIECES) return
    const part = make('span')
    part.style.flexGrow = `${detail.bytes}`
    part.style.background = cloth.colour(detail.peer)
    strip.append(part)
  })

  const tiles = contents.pictures.map(picture => {
    const url = new URL(`ipfs://${root}/${encodeURIComponent(picture.file)}`).href
    const strip = make('span', { class: 'from', 'aria-hidden': 'true' })
    strips.set(url, strip)
    const image = make('img', { alt: picture.alt, width: 600, height: 400, hidden: true })
    const button = make('button', { 'aria-label': `Enlarge: ${picture.title}`, disabled: true }, image)
    const state = make('p', { class: 'soft small' }, 'is being fetched…')
    byId('pictures').append(
      make('li', { class: 'card picture' }, button, make('h2', {}, picture.title), strip, state))
    return { picture, url, image, button, state }
  })

  let sum = 0
  const waiting = [...tiles]
  const work = async (): Promise<void> => {
    for (let tile = waiting.shift(); tile !== undefined; tile = waiting.shift()) {
      const { url, image, button, state } = tile
      try {
        const start = performance.now()
        const answer = await weft.fetch(url)
        if (!answer.ok) throw new TypeError('it is not in the folder')
        sum += length(answer, Math.min(LARGEST, LARGEST_SUM - sum))
        const type = answer.headers.get('content-type') ?? ''
        if (!TYPES.includes(type)) throw new TypeError('it is no picture of a kind that is shown')
        const blob = new Blob([await answer.arrayBuffer()], { type })
        const source = URL.createObjectURL(blob)
        image.src = source
        image.hidden = false
        await image.decode()
        state.textContent = `${bytes(blob.size)} in ${Math.round(performance.now() - start)} ms`
        button.disabled = false
        button.addEventListener('click', () => enlarge(tile!.picture, source))
      } catch (error) {
        // The site has it as well; what it answers is another origin's.
        image.src = `/ipfs/${root}/${encodeURIComponent(tile.picture.file)}`
        image.hidden = false
        state.textContent = `comes from the site: ${(error as Error).message}`
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}

function enlarge(picture: Picture, source: string): void {
  byId('large-title').textContent = picture.title
  const image = byId<HTMLImageElement>('large-picture')
  image.src = source
  image.alt = picture.alt
  byId<HTMLDialogElement>('large').showModal()
}

addEventListener('hashchange', () => location.reload())
show().catch(error => fail(`The pictures could not be fetched: ${(error as Error).message}`))
