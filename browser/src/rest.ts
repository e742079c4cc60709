// What of the scripts is seldom needed is weft-rest.js, which is loaded when it is.

let loading: Promise<typeof import('./weft-rest.js')> | undefined

/** Loads the rest of the scripts, once. May be tried again when it fails. */
export function rest(): Promise<typeof import('./weft-rest.js')> {
  loading ??= import('./weft-rest.js')
  loading.catch(() => { loading = undefined })
  return loading
}
