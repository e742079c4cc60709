import type { ModuleSource } from './pieces.js'

/** Where the modules and scripts lie if nobody says; set by the script that is loaded. */
export const place: { module: URL | undefined; base: URL | undefined } = {
  module: undefined, base: undefined,
}

/** Where the rest of a module is: where it is said to be, beside the first piece, or beside the script. */
export function restOf(
  name: string, { module, rest }: { module?: ModuleSource; rest?: string | URL },
  base: URL | undefined,
): string | undefined {
  if (rest !== undefined) return `${new URL(rest, document.baseURI)}`
  const isPlace = typeof module === 'string' || module instanceof URL
  const beside = isPlace ? new URL(module, document.baseURI) : base
  return beside && `${new URL(name, beside)}`
}
