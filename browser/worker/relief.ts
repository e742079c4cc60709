// An answer that the site has begun and the mesh ends, if it has all of it sooner: the site is spared what
// comes from peers a little later, and the page has it earlier.

/** How long content may be that is held whole for that, in bytes. */
const MOST_HELD = 1 << 20

/**
 * The site's answer, of which the rest comes from the mesh as soon as that has all. `over` hears how many bytes
 * the site brought, and whether the mesh brought the rest.
 */
export function relieved(
  site: Response, mesh: Promise<Response>, over: (bytes: number, isRelieved: boolean) => void,
): Response {
  const { body, status, statusText, headers } = site
  const length = Number(headers.get('content-length') ?? NaN)
  if (body === null || !(length <= MOST_HELD) || headers.has('content-encoding')) {
    over(length || 0, false)
    return site
  }
  let whole: Promise<Uint8Array | undefined> = mesh
    .then(async answer => new Uint8Array(await answer.arrayBuffer())).catch(() => undefined)
  const reader = body.getReader()
  let reading: Promise<ReadableStreamReadResult<Uint8Array>> | undefined
  const given = new Uint8Array(length)
  let count = 0
  const stream = new ReadableStream<Uint8Array>({
    pull: async controller => {
      reading ??= reader.read()
      const first = await Promise.race([whole, reading]).catch(async error => {
        // The site has broken off.
        const bytes = await whole
        if (bytes === undefined) throw error
        return bytes
      })
      if (first instanceof Uint8Array) {
        // The site's word counts for its own pages if the two differ.
        if (first.length === length && first.subarray(0, count).every((byte, at) => byte === given[at])) {
          reader.cancel().catch(() => {})
          if (count < length) controller.enqueue(first.subarray(count))
          over(count, true)
          return controller.close()
        }
        whole = Promise.resolve(undefined)
      }
      const { done, value } = await reading
      reading = undefined
      if (done) {
        over(count, false)
        return controller.close()
      }
      given.set(value, count)
      count += value.length
      controller.enqueue(value)
    },
    cancel: reason => {
      over(count, false)
      return reader.cancel(reason)
    },
  }, { highWaterMark: 0 })
  return new Response(stream, { status, statusText, headers })
}
