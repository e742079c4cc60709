import { Core, text } from './core.js'

/**
 * Adds a file to the module, cut into blocks as nodes do, and answers its CID. Throws a RangeError if there is
 * no room for it.
 */
export async function put(
  core: Core, number: number, content: ReadableStream<Uint8Array>, now: () => number, settle: () => void,
): Promise<string> {
  const ask = (name: string, ...parameters: (number | Uint8Array)[]): Uint8Array => {
    try {
      return core.ask(name, number, ...parameters, now())
    } catch (error) {
      throw core.fault ?? new RangeError((error as Error).message)
    } finally {
      settle()
    }
  }
  const reader = content.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      if (!(value instanceof Uint8Array)) throw new TypeError('a stream that is added is to be of Uint8Arrays')
      ask('put', value)
    }
    // An empty file has a block, too.
    ask('put', new Uint8Array())
    return text(ask('put_end'))
  } catch (error) {
    core.run('put_cancel', number)
    reader.cancel(error).catch(() => {})
    throw error
  }
}
