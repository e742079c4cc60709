// The ES module: `import { fetch, Weft } from './weft.js'`.

import { place } from './place.js'

place.base = new URL('.', import.meta.url)
place.module = new URL('weft-content.wasm', import.meta.url)

export * from './api.js'
