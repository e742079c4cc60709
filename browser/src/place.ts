import type { ModuleSource } from './pieces.js'

/** Where the modules and scripts lie if nobody says; set by the script that is loaded. */
export const place: { module: URL | undefined; base: URL | undefined } = {
  module: undefined, base: undefined,
}

/**
 * Where the further pieces of a module are: the last where the rest is said to be, and the others beside it; else
 * beside the first piece or the script. Undefined if that is not known.
 */
export function furtherOf(
  names: readonly string[], { module, rest }: { module?: ModuleSource; rest?: string | URL },
  base: URL | undefined,
): (string | undefined)[] {
  const isPlace = typeof module === 'string' || module instanceof URL
  const beside = rest ?? (isPlace ? module : base)
  if (beside === undefined) return names.map(() => undefined)
  const place = new URL(beside, document.baseURI)
  const further = names.map(name => `${new URL(name, place)}`)
  return rest === undefined ? further : [...further.slice(0, -1), `${place}`]
}
