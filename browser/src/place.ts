/** Where the modules and scripts lie if nobody says; set by the script that is loaded. */
export const place: { module: URL | undefined; base: URL | undefined } = {
  module: undefined, base: undefined,
}
