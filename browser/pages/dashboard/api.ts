// The local API, as the dashboard may call it: with a key that an invitation is exchanged for.

/** Where this tab keeps its key. Only a copy of the tab gets it, too. */
const KEY = 'weft-dashboard-key'
/** How long an answer may take, in milliseconds; the doctor's takes longest. */
const PATIENCE = 60_000

/** The node does not know who this is. */
export class Locked extends Error {}

async function said(response: Response): Promise<string> {
  try {
    return (await response.json() as { Message: string }).Message
  } catch {
    return `it answered ${response.status}`
  }
}

async function post(path: string, init: RequestInit): Promise<Response> {
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(new Error('the node does not answer')), PATIENCE)
  let response: Response
  try {
    response = await fetch(path, {
      method: 'POST', credentials: 'omit', cache: 'no-store', signal: abort.signal, ...init,
    })
  } finally {
    clearTimeout(timer)
  }
  if (response.status === 401) throw new Locked(await said(response))
  if (!response.ok) throw new Error(await said(response))
  return response
}

/** The invitation in the page's address, if there is one. */
function invitation(): string | undefined {
  const named = location.hash.slice(1)
  return /^[a-z2-7]{40,}$/.test(named) ? named : undefined
}

/** Uses the invitation in the page's address. Throws if that is none any more, and the tab has no key. */
export async function enter(): Promise<void> {
  const named = invitation()
  if (named === undefined) return
  // The address bar does not keep it.
  history.replaceState(null, '', location.pathname)
  try {
    const response = await post('/session', { body: named })
    sessionStorage.setItem(KEY, (await response.json() as { key: string }).key)
  } catch (error) {
    if (!(error instanceof Locked) || sessionStorage.getItem(KEY) === null) throw error
  }
}

// The address of another invitation differs behind the # alone, which loads nothing.
addEventListener('hashchange', () => {
  if (invitation() !== undefined) location.reload()
})

function authorised(path: string, query: Record<string, string>): Promise<Response> {
  const key = sessionStorage.getItem(KEY)
  if (key === null) return Promise.reject(new Locked(''))
  const parameters = new URLSearchParams(query).toString()
  const target = parameters === '' ? path : `${path}?${parameters}`
  return post(target, { headers: { authorization: `Bearer ${key}` } })
}

/** A call that answers one value. */
export async function ask<Value>(path: string, query: Record<string, string> = {}): Promise<Value> {
  return await (await authorised(path, query)).json() as Value
}

/** A call that answers values, one a line. */
export async function askLines<Value>(path: string): Promise<Value[]> {
  const text = await (await authorised(path, {})).text()
  return text.split('\n').filter(line => line !== '').map(line => JSON.parse(line) as Value)
}
