// Weft's node, which can be made to hang.

import '/dist/weft-node.js'

self.addEventListener('message', ({ data }) => {
  while (data === 'hang');
})
