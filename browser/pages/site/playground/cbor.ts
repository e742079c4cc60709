// Reads dag-cbor (ipld.io/specs/codecs/dag-cbor), as far as records of calls need it.

/** A value; a link is the text of its CID. */
export type Value = number | string | boolean | null | Uint8Array | Link | Value[] | { [key: string]: Value }

/** A link to another block. */
export class Link {
  constructor(readonly cid: string) {}
}

const DEEPEST = 32
const LINK = 42
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'

/** The text of a CID: base32 behind a b. */
function base32(bytes: Uint8Array): string {
  let [text, value, bits] = ['b', 0, 0]
  for (const byte of bytes) {
    value = (value << 8) | byte
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(value >>> (bits - 5)) & 31]
    value &= 0xff
  }
  return bits > 0 ? text + ALPHABET[(value << (5 - bits)) & 31] : text
}

/** The value of a block. Throws if it is none. */
export function decode(block: Uint8Array): Value {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength)
  let place = 0
  const take = (count: number): Uint8Array => {
    if (count > block.length - place) throw new RangeError('the block ends too early')
    place += count
    return block.subarray(place - count, place)
  }
  const argument = (low: number): number => {
    if (low < 24) return low
    const start = place
    take(1 << (low - 24))
    switch (low) {
      case 24: return view.getUint8(start)
      case 25: return view.getUint16(start)
      case 26: return view.getUint32(start)
      case 27: return Number(view.getBigUint64(start))
      default: throw new RangeError('a length that dag-cbor does not have')
    }
  }
  const value = (depth: number): Value => {
    if (depth > DEEPEST) throw new RangeError('it is too deep')
    const head = take(1)[0]!
    const number = argument(head & 31)
    switch (head >> 5) {
      case 0: return number
      case 1: return -1 - number
      case 2: return take(number)
      case 3: return new TextDecoder().decode(take(number))
      case 4: {
        const list: Value[] = []
        while (list.length < number) list.push(value(depth + 1))
        return list
      }
      case 5: {
        const map: { [key: string]: Value } = Object.create(null)
        for (let index = 0; index < number; index++) map[`${value(depth + 1)}`] = value(depth + 1)
        return map
      }
      case 6: {
        const inner = value(depth + 1)
        if (number !== LINK || !(inner instanceof Uint8Array)) throw new RangeError('no link')
        return new Link(base32(inner.subarray(1)))
      }
      default: return number === 22 ? null : number === 21
    }
  }
  return value(0)
}
