// What a page loads, compressed, is no more than it was: to read, to ask for calls as well, and to run contracts.
// `make page` has to have made browser/dist.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { brotliCompressSync, constants } from 'node:zlib';

const options = {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 },
};
const compressed = (name) => (
    brotliCompressSync(readFileSync(new URL(`dist/${name}`, import.meta.url)), options).length);

/** What each of these takes besides those before it, and how many KiB all of that may be. */
const steps = [
    ['reading', 155, ['weft.js', 'weft-node.js', 'weft-content.wasm']],
    ['asking for calls', 290, ['weft-peers.wasm', 'weft-calls.js', 'weft-calls.wasm']],
    ['running contracts', 414, ['weft-worker.js', 'weft-calls-rest.wasm']],
];
let sum = 0;
for (const [what, limit, files] of steps) {
    for (const name of files) {
        const bytes = compressed(name);
        console.log(`${name}: ${bytes} bytes`);
        sum += bytes;
    }
    const size = sum / 1024;
    console.log(`${what}: ${size.toFixed(1)} KiB`);
    assert.ok(size <= limit, `${what} takes ${size.toFixed(1)} KiB, more than ${limit}: have it take less`);
}
