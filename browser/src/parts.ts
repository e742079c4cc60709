// Several byte strings in one, as the modules take and give them: each after its length.

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Byte strings and texts as one. */
export function pack(parts: readonly (Uint8Array | string)[]): Uint8Array {
  const all = parts.map(part => (typeof part === 'string' ? encoder.encode(part) : part))
  const out = new Uint8Array(all.reduce((sum, part) => sum + 4 + part.length, 0))
  const view = new DataView(out.buffer)
  let offset = 0
  for (const part of all) {
    view.setUint32(offset, part.length, true)
    out.set(part, offset + 4)
    offset += 4 + part.length
  }
  return out
}

/** The byte strings that one is made of. */
export function unpack(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const parts: Uint8Array[] = []
  for (let offset = 0; offset < bytes.length;) {
    const end = offset + 4 + view.getUint32(offset, true)
    parts.push(bytes.subarray(offset + 4, end))
    offset = end
  }
  return parts
}

/** The lines of a text. */
export function lines(bytes: Uint8Array | undefined): string[] {
  return decoder.decode(bytes).split('\n')
}

/** Names and values out of lines, such as those of headers. */
export function pairs(bytes: Uint8Array): [string, string][] {
  return lines(bytes).filter(line => line !== '').map(line => {
    const colon = line.indexOf(': ')
    return [line.slice(0, colon), line.slice(colon + 2)]
  })
}
