// The classic script: `<script src="weft.global.js"></script>` makes `weft.fetch` and `weft.Weft`.

import { place } from './place.js'

const script = document.currentScript as HTMLScriptElement | null
if (script !== null) {
  place.base = new URL('.', script.src)
  place.module = new URL('weft-content.wasm', script.src)
}

export * from './api.js'
