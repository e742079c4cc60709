// The rest of an answer that the mesh has begun and broken off, from the site: what a page shows does not end in
// the middle because peers are gone.

/**
 * What comes after the first `given` bytes of an answer with these headers. Throws if the site does not have it;
 * what ends before all of it has come fails, since nobody else compares it with the length that was said.
 */
export async function restOf(
  url: string, head: Headers, given: number, signal: AbortSignal,
): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const first = Number(/^bytes (\d+)-/.exec(head.get('content-range') ?? '')?.[1] ?? 0)
  const from = first + given
  const length = Number(head.get('content-length'))
  const range = `bytes=${from}-${first + length - 1}`
  const { ok, status, headers, body } = await fetch(url, { headers: { range }, signal })
  const isPart = status === 206 && headers.get('content-range')?.startsWith(`bytes ${from}-`) === true
  // A site that knows no ranges sends all of it.
  const isWhole = status === 200 && first === 0
  if (!ok || body === null || !(isPart || isWhole)) throw new TypeError(`the site answers ${status}`)
  let known = isPart ? 0 : given
  let total = given
  return body.pipeThrough(new TransformStream<Uint8Array, Uint8Array>({
    transform: (piece, controller) => {
      if (known < piece.length) {
        total += piece.length - known
        controller.enqueue(piece.subarray(known))
      }
      known = Math.max(0, known - piece.length)
    },
    flush: controller => {
      if (total !== length) controller.error(new TypeError(`${total} bytes came of ${length}`))
    },
  })).getReader()
}
