// Puts functions that are alike side by side, in a module's text: so it gets smaller when it is compressed.
// After each function comes the one that has the most in common with it, of those that are left.
//
// node browser/order.mjs MODULE.wat

import { readFileSync } from 'node:fs';

/** How many words in a row are compared. What very many functions have says nothing. */
const RUN = 5, MANY = 200;

const [file] = process.argv.slice(2);
const parts = readFileSync(file, 'utf8').replace(/\)\n$/, '').split(/^(?= \()/m);
const isFunction = (part) => part.startsWith(' (func ');
const functions = parts.filter(isFunction);

/** Which runs of words a function has, without its name. */
function runsOf(text) {
    const words = text.replace(/^ \(func \S+/, '').split(/\s+/);
    return new Set(words.slice(RUN - 1).map((_, index) => words.slice(index, index + RUN).join(' ')));
}
const runs = functions.map(runsOf);
const owners = new Map();
for (const [index, own] of runs.entries()) {
    for (const run of own) {
        if (!owners.has(run)) owners.set(run, []);
        owners.get(run).push(index);
    }
}

const bySize = [...functions.keys()].sort((one, other) => runs[other].size - runs[one].size);
const left = new Set(bySize);

/** Which of those that are left has the most in common with a function. */
function nearest(index) {
    const common = new Map();
    for (const run of runs[index]) {
        const others = owners.get(run);
        if (others.length >= MANY) continue;
        for (const other of others) {
            if (left.has(other)) common.set(other, (common.get(other) ?? 0) + 1 / Math.log2(1 + others.length));
        }
    }
    // If nothing has anything in common with it, the longest comes next.
    let [best, most] = [left.values().next().value, 0];
    for (const [other, count] of common) {
        const worth = count / Math.sqrt(runs[other].size + RUN);
        if (worth > most) [best, most] = [other, worth];
    }
    return best;
}

const order = [];
for (let index = bySize[0]; index !== undefined; index = nearest(index)) {
    left.delete(index);
    order.push(index);
}
const text = [...parts.filter((part) => !isFunction(part)), ...order.map((index) => functions[index])];
process.stdout.write(`${text.join('')})\n`);
