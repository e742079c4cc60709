// A module in pieces, as Scripts/build-browser cuts it. The first is what a page runs that does little; the
// others are loaded before something is begun that is known to need them, and by a page that stays. Should anything
// else call them before, they are loaded then, in their order, while the thread waits.

/** Where a module comes from. */
export type ModuleSource = string | URL | Response | BufferSource | WebAssembly.Module

/** The module of a source, compiled. */
export async function compile(source: ModuleSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return WebAssembly.compile(source)
  const response = source instanceof Response ? source : await globalThis.fetch(source)
  if (!response.ok) {
    throw new TypeError(`${response.url} answers ${response.status}: it is to be Weft’s module`)
  }
  // A server that does not know the type of .wasm is forgiven.
  if (response.headers.get('content-type')?.startsWith('application/wasm')) {
    return WebAssembly.compileStreaming(response)
  }
  return WebAssembly.compile(await response.arrayBuffer())
}

/** When a page that stays loads the rest of its modules, in milliseconds. */
export const STAYING = 30_000

/** How the first piece names the table in which both find each other's functions. */
const TABLE = 'table'

/** Which build a piece is of: two of different ones would call each other's functions by wrong names. */
const build = (module: WebAssembly.Module): string =>
  WebAssembly.Module.customSections(module, 'weft').map(name => new TextDecoder().decode(name)).join()

/** The further pieces of a module in their order, or where they are, if that is known. */
export type Further = readonly (string | WebAssembly.Module | undefined)[]

/** What a module that may have further pieces exports. */
export class Pieces {
  private first!: WebAssembly.Instance
  /** All, as far as they are loaded. */
  readonly modules: WebAssembly.Module[] = []
  private readonly loading: (Promise<void> | undefined)[] = []

  private constructor(
    private readonly imports: WebAssembly.Imports,
    private readonly further: Further,
  ) {}

  /** Loads the first piece. */
  static async load(
    source: ModuleSource, further: Further, imports: WebAssembly.Imports,
  ): Promise<Pieces> {
    const pieces = new Pieces(imports, further)
    const module = await compile(source)
    pieces.modules.push(module)
    pieces.first = await WebAssembly.instantiate(module, { ...imports, placeholder: pieces.missing })
    return pieces
  }

  get exports(): WebAssembly.Exports { return this.first.exports }

  /** Whether all pieces are there. */
  get isWhole(): boolean { return this.modules.length > this.further.length }

  /** What is called instead of functions of further pieces, which are named by their places in the table. */
  private get missing(): WebAssembly.ModuleImports {
    return new Proxy({}, {
      get: (_, name) => (...parameters: unknown[]) => {
        const table = this.exports[TABLE] as WebAssembly.Table
        const place = Number(name)
        const missing = table.get(place)
        for (let next = this.modules.length; table.get(place) === missing; next += 1) {
          const source = this.place(next)
          this.add(next, source instanceof URL ? new WebAssembly.Module(readNow(source)) : source)
        }
        return table.get(place)(...parameters)
      },
    })
  }

  /** Loads all pieces. */
  whole(): Promise<void> { return this.load(this.further.length) }

  /** Loads so many further pieces, each once. May be tried again when it fails. */
  async load(count: number): Promise<void> {
    for (let number = 1; number <= count; number += 1) {
      this.loading[number] ??= this.loadOne(number)
      this.loading[number]!.catch(() => { this.loading[number] = undefined })
    }
    await this.loading[count]
  }

  /** Loads a piece beside those before it, and adds it after them. */
  private async loadOne(number: number): Promise<void> {
    if (number < this.modules.length) return
    const [module] = await Promise.all([compile(this.place(number)), this.loading[number - 1]])
    this.add(number, module)
  }

  /** A further piece, or where it is: of the same build, so that no cache has an older one. */
  private place(number: number): URL | WebAssembly.Module {
    const source = this.further[number - 1]
    if (source === undefined) throw new TypeError('say where the rest of the module is: rest')
    if (source instanceof WebAssembly.Module) return source
    const place = new URL(source)
    place.searchParams.set('build', build(this.modules[0]!))
    return place
  }

  /** A piece puts its functions into the table, once. */
  private add(number: number, module: WebAssembly.Module): void {
    if (number < this.modules.length) return
    if (build(module) !== build(this.modules[0]!)) {
      throw new TypeError('the pieces of Weft’s module are not of the same build')
    }
    new WebAssembly.Instance(module, { ...this.imports, primary: this.exports as never })
    this.modules.push(module)
  }
}

/** The bytes of a file, for which the thread waits. */
function readNow(place: URL): Uint8Array {
  const request = new XMLHttpRequest()
  request.open('GET', place, false)
  // Pages are given no ArrayBuffer in this way: each character is a byte.
  request.overrideMimeType('text/plain; charset=x-user-defined')
  request.send()
  if (request.status !== 200) throw new TypeError(`${place} answers ${request.status}`)
  return Uint8Array.from(request.responseText, character => character.charCodeAt(0))
}
