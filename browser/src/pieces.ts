// A module in two pieces, as Scripts/build-browser cuts it: what a page runs that reads from nodes or asks
// them for calls, and the rest. The rest is loaded before something is begun that is known to need it, and by a page that
// stays; should anything else call it before, it is loaded then, while the thread waits.

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

/** What a module that may have a second piece exports. */
export class Pieces {
  private first!: WebAssembly.Instance
  /** Both, as far as they are loaded. */
  readonly modules: WebAssembly.Module[] = []
  private loading: Promise<void> | undefined
  /** Whether the rest is there. */
  isWhole = false

  private constructor(
    private readonly imports: WebAssembly.Imports,
    private readonly rest: string | WebAssembly.Module | undefined,
  ) {}

  /** Loads the first piece. */
  static async load(
    source: ModuleSource, rest: string | WebAssembly.Module | undefined, imports: WebAssembly.Imports,
  ): Promise<Pieces> {
    const pieces = new Pieces(imports, rest)
    const module = await compile(source)
    pieces.modules.push(module)
    pieces.first = await WebAssembly.instantiate(module, { ...imports, placeholder: pieces.missing })
    return pieces
  }

  get exports(): WebAssembly.Exports { return this.first.exports }

  /** What is called instead of functions of the rest, which are named by their places in the table. */
  private get missing(): WebAssembly.ModuleImports {
    return new Proxy({}, {
      get: (_, place) => (...parameters: unknown[]) => {
        if (!this.isWhole) {
          const { place } = this
          this.add(place instanceof URL ? new WebAssembly.Module(readNow(place)) : place)
        }
        return (this.exports[TABLE] as WebAssembly.Table).get(Number(place))(...parameters)
      },
    })
  }

  /** Loads the rest, once. May be tried again when it fails. */
  whole(): Promise<void> {
    this.loading ??= this.load()
    this.loading.catch(() => { this.loading = undefined })
    return this.loading
  }

  private async load(): Promise<void> {
    if (!this.isWhole) this.add(await compile(this.place))
  }

  /** The rest, or where it is: of the same build, so that no cache has an older one. */
  private get place(): URL | WebAssembly.Module {
    if (this.rest === undefined) throw new TypeError('say where the rest of the module is: rest')
    if (this.rest instanceof WebAssembly.Module) return this.rest
    const place = new URL(this.rest)
    place.searchParams.set('build', build(this.modules[0]!))
    return place
  }

  /** The rest puts its functions into the table. */
  private add(module: WebAssembly.Module): void {
    if (this.isWhole) return
    if (build(module) !== build(this.modules[0]!)) {
      throw new TypeError('the two pieces of Weft’s module are not of the same build')
    }
    new WebAssembly.Instance(module, { ...this.imports, primary: this.exports as never })
    this.modules.push(module)
    this.isWhole = true
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
