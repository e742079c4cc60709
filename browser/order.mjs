// Puts functions that begin alike side by side, in a module's text: so it gets smaller when it is compressed.
//
// node browser/order.mjs MODULE.wat

import { readFileSync } from 'node:fs';

const [file] = process.argv.slice(2);
const parts = readFileSync(file, 'utf8').replace(/\)\n$/, '').split(/^(?= \()/m);
const isFunction = (part) => part.startsWith(' (func ');
/** What a function takes and does, without its name. */
const content = (part) => part.replace(/^ \(func \S+/, '');
const functions = parts.filter(isFunction)
    .sort((one, other) => (content(one) < content(other) ? -1 : 1));
process.stdout.write(`${[...parts.filter((part) => !isFunction(part)), ...functions].join('')})\n`);
