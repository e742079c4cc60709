// What a file is of which the name does not tell the type: a module of its own says it, as a node's gateway does.

import { text, utf8 } from './core.js'
import { compile } from './pieces.js'

interface TypesModule {
  readonly memory: WebAssembly.Memory
  weft_allocate(count: number): number
  weft_free(pointer: number): void
  weft_media_type(name: number, nameCount: number, head: number, count: number): number
}

let loading: Promise<TypesModule> | undefined

/** Loads the module, once. May be tried again when that fails. */
function load(): Promise<TypesModule> {
  loading ??= start()
  loading.catch(() => { loading = undefined })
  return loading
}

async function start(): Promise<TypesModule> {
  const module = await compile(new URL('weft-types.wasm', import.meta.url))
  const { exports } = await WebAssembly.instantiate(module, {
    weft: {
      random: (pointer: number, count: number) => {
        crypto.getRandomValues(new Uint8Array(types.memory.buffer, pointer, count))
      },
    },
  })
  const types = exports as unknown as TypesModule
  return types
}

/** The type of a file of this name that begins with these bytes. */
export async function typeOf(name: string, head: Uint8Array): Promise<string> {
  const types = await load()
  const parts = [utf8(name), head].map(bytes => {
    const pointer = types.weft_allocate(bytes.length)
    new Uint8Array(types.memory.buffer, pointer, bytes.length).set(bytes)
    return [pointer, bytes.length] as const
  })
  const [[namePlace, nameCount], [place, count]] = parts as [[number, number], [number, number]]
  const reply = types.weft_media_type(namePlace, nameCount, place, count)
  const { buffer } = types.memory
  const type = text(new Uint8Array(buffer, reply + 8, new DataView(buffer).getUint32(reply + 4, true)))
  for (const pointer of [namePlace, place, reply]) types.weft_free(pointer)
  return type
}
