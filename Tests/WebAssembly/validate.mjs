// Validates modules as V8 does. Usage: node validate.mjs FILE…, which prints those that it refuses.

import { readFileSync } from 'node:fs';

for (const file of process.argv.slice(2)) {
    if (WebAssembly.validate(readFileSync(file))) continue;
    try {
        new WebAssembly.Module(readFileSync(file));
    } catch (error) {
        console.log(file, error.message);
    }
}
