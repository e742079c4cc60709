/** All of a body; undefined if it has more than so many bytes, of which no more are read then. */
export async function whole(
  body: ReadableStream<Uint8Array>, most: number,
): Promise<Blob | undefined> {
  const pieces: Uint8Array[] = []
  let count = 0
  for (const reader = body.getReader(); ;) {
    const { done, value } = await reader.read()
    if (done) return new Blob(pieces)
    pieces.push(value)
    count += value.length
    if (count <= most) continue
    await reader.cancel()
    return undefined
  }
}
