// A module in two pieces, as Scripts/build-browser cuts it: what a page runs that reads from nodes, and
// the rest. The rest is loaded before something is begun that is known to need it, and by a page that
// stays; should anything else call it before, it is loaded then, while the page waits.

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

/** How the first piece names the table in which both find each other's functions. */
const TABLE = 'table'

/** Which build a piece is of: two of different ones would call each other's functions by wrong names. */
const build = (module: WebAssembly.Module): string =>
  WebAssembly.Module.customSections(module, 'weft').map(name => new TextDecoder().decode(name)).join()

/** What a module that may have a second piece exports. */
export class Pieces {
  private first!: WebAssembly.Instance
  private build = ''
  private loading: Promise<void> | undefined
  /** Whether the rest is there. */
  isWhole = false

  private constructor(
    private readonly imports: WebAssembly.Imports,
    private readonly rest: URL | undefined,
  ) {}

  /** Loads the first piece. */
  static async load(
    source: ModuleSource, rest: URL | undefined, imports: WebAssembly.Imports,
  ): Promise<Pieces> {
    const pieces = new Pieces(imports, rest)
    const module = await compile(source)
    pieces.build = build(module)
    pieces.first = await WebAssembly.instantiate(module, { ...imports, placeholder: pieces.missing })
    return pieces
  }

  get exports(): WebAssembly.Exports { return this.first.exports }

  /** What is called instead of functions of the rest, which are named by their places in the table. */
  private get missing(): WebAssembly.ModuleImports {
    return new Proxy({}, {
      get: (_, place) => (...parameters: unknown[]) => {
        if (!this.isWhole) this.add(new WebAssembly.Module(readNow(this.place)))
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
    this.add(await compile(this.place))
  }

  /** Where the rest is: of the same build, so that no cache has an older one. */
  private get place(): URL {
    if (this.rest === undefined) throw new TypeError('say where weft-rest.wasm is: rest')
    const place = new URL(this.rest)
    place.searchParams.set('build', this.build)
    return place
  }

  /** The rest puts its functions into the table. */
  private add(module: WebAssembly.Module): void {
    if (this.isWhole) return
    if (build(module) !== this.build) {
      throw new TypeError('weft-content.wasm and weft-rest.wasm are not of the same build')
    }
    new WebAssembly.Instance(module, { ...this.imports, primary: this.exports as never })
    this.isWhole = true
  }
}

/** The bytes of a file, for which the page waits. */
function readNow(place: URL): Uint8Array {
  const request = new XMLHttpRequest()
  request.open('GET', place, false)
  // A page is given no ArrayBuffer in this way: each character is a byte.
  request.overrideMimeType('text/plain; charset=x-user-defined')
  request.send()
  if (request.status !== 200) throw new TypeError(`${place} answers ${request.status}`)
  return Uint8Array.from(request.responseText, character => character.charCodeAt(0))
}
