// A film out of the mesh: the service worker gives the browser's own player what it asks for, and a
// bar shows which part of the film came from whom.

import '/weft-status.js'
import '../../shared/cloth.js'
import { byId, bytes, draw } from '../../shared/dom.js'
import { contentOfPage, nameOf, nodeFacts, startPeer } from '../../shared/peer.js'

/** What is played if the address names a folder. */
const FILM = 'film.mp4'
/** How wide the bar is, in its own units. */
const WIDTH = 1000

/** How many pieces are drawn. */
const MOST_PIECES = 4000

const notice = byId('notice')

function fail(message: string): void {
  notice.textContent = message
  notice.hidden = false
}

/** Why the browser does not play what it has been given. */
function whyNotPlayed(film: HTMLVideoElement, path: string): string {
  const reason = film.error?.message ? ` (${film.error.message})` : ''
  const lacksFormat = path.endsWith('.mp4') && film.canPlayType('video/mp4; codecs="avc1.42C01E"') === ''
  return `This browser cannot play the film${reason}.`
    + (lacksFormat ? ' It has no H.264; Firefox on Linux takes that from libavcodec, once it is installed.' : '')
}

async function show(): Promise<void> {
  const named = contentOfPage()
  const [facts, weft] = await Promise.all(
    [nodeFacts(), startPeer('serviceWorker' in navigator ? { serviceWorker: '/weft-sw.js' } : {})])
  byId<HTMLElementTagNameMap['weft-status']>('status').weft = weft
  const cloth = byId<HTMLElementTagNameMap['weft-cloth']>('cloth')
  cloth.watch(weft, peer => nameOf(weft, facts?.peer, peer))
  if (named === undefined) {
    return fail('Which film? Its CID belongs behind the # of this address; `make run` prints one.')
  }
  const path = /\.\w+$/.test(named) ? named : `${named}/${FILM}`
  const answer = await weft.fetch(`ipfs://${path}`, { method: 'HEAD' }).catch((error: Error) => error)
  if (answer instanceof Response && !answer.ok) return fail('There is no film at this address.')
  const film = byId<HTMLVideoElement>('film')
  film.addEventListener('error', () => fail(answer instanceof Error
    ? `The film could not be fetched: ${answer.message}` : whyNotPlayed(film, path)))
  film.addEventListener('loadedmetadata', () => { notice.hidden = true })
  // Without a service worker, or without peers, it is the site that answers.
  film.src = `/ipfs/${path}`
  if (answer instanceof Error) return
  const size = Number(answer.headers.get('content-length'))

  const url = new URL(`ipfs://${path}`).href
  let total = 0
  weft.addEventListener('piece', ({ detail }) => {
    if (detail.url !== url || detail.position === undefined) return
    const part = draw('rect', {
      x: detail.position / size * WIDTH, y: 0, width: Math.max(2, detail.bytes / size * WIDTH), height: 40,
      class: 'arrives',
    })
    part.style.fill = cloth.colour(detail.peer)
    if (byId('bar').children.length < MOST_PIECES) byId('bar').append(part)
    total = Math.min(size, total + detail.bytes)
    byId('bar-text').textContent = `${bytes(total)} of ${bytes(size)} have come.`
  })
}

addEventListener('hashchange', () => location.reload())
show().catch(error => fail(`The film could not be fetched: ${(error as Error).message}`))
