// Calls the export `run: [] -> i64` of many instrumented modules, each with the gas that is given.
// Usage: node run.mjs LIST, a file of lines MODULE GAS, which prints for each a line: "end" or "trap",
// the status, the gas that is left, and the result as an unsigned number.

import { readFileSync } from 'node:fs';

let last;
let module;
for (const line of readFileSync(process.argv[2], 'utf8').trimEnd().split('\n')) {
    const [file, gas] = line.split(' ');
    if (file !== last) module = new WebAssembly.Module(readFileSync(file));
    last = file;
    const { exports } = new WebAssembly.Instance(module);
    exports['weft:gas'].value = BigInt(gas);
    let ending = 'end';
    let result = 0n;
    try {
        exports['weft:start']?.();
        result = BigInt.asUintN(64, exports.run());
    } catch (error) {
        if (!(error instanceof WebAssembly.RuntimeError)) throw error;
        ending = 'trap';
    }
    console.log(ending, exports['weft:status'].value, `${exports['weft:gas'].value}`, `${result}`);
}
