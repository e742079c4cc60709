// Calls the export `run: [] -> i64` of an instrumented module once, with the gas that is given.
// Usage: node call.mjs MODULE GAS, which prints "end" or "trap", the status, the gas that is left,
// and the result as an unsigned number.

import { readFileSync } from 'node:fs';

const [file, gas] = process.argv.slice(2);
const instance = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)));
const { 'weft:gas': left, 'weft:status': status, 'weft:start': start, run } = instance.exports;
let ending = 'end';
let result = 0n;
left.value = BigInt(gas);
try {
    start?.();
    result = BigInt.asUintN(64, run());
} catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    ending = 'trap';
}
console.log(ending, status.value, `${left.value}`, `${result}`);
