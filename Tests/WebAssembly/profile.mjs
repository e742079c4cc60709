// Calls the export `run` of a profiling module, and prints the gas that is used and, by index, the gas
// of each function: node profile.mjs MODULE GAS
import { readFileSync } from 'node:fs';

const [file, gas] = process.argv.slice(2);
const host = { weft: { size: () => { exports['weft:gas'].value -= 200n; return 7n; } } };
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), host);
exports['weft:gas'].value = BigInt(gas);
exports.run();
console.log(`${BigInt(gas) - exports['weft:gas'].value}`);
for (const [name, { value }] of Object.entries(exports)) {
    if (name.startsWith('weft:profile/')) console.log(name.slice('weft:profile/'.length), `${value}`);
}
