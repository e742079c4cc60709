// Moves texts that only the second piece of a module uses there: where a module is cut, all its data stays in
// the first piece.
//
// node browser/texts.mjs FIRST.wat REST.wat MAP
//
// The map is the linker's, which says where each text lies. Both pieces are written in place.

import { readFileSync, writeFileSync } from 'node:fs';

/** So much before its bytes a String points; a StaticString points at them. */
const BEFORE = 20;
/** So many zeros in a row are not written out. */
const GAP = 16;

const [firstFile, restFile, mapFile] = process.argv.slice(2);
const [first, rest, map] = [firstFile, restFile, mapFile].map((file) => readFileSync(file, 'latin1'));

/** The addresses of each text. */
const texts = [...map.matchAll(/^ *([0-9a-f]+) +[0-9a-f]+ +([0-9a-f]+) {17}\.L\.str\./gm)]
    .map(([, start, size]) => (
        Array.from({ length: parseInt(size, 16) }, (_, index) => parseInt(start, 16) + index)));

const SEGMENT = /^ \(data (?:\$\S+ )?\(i32\.const (\d+)\) "((?:[^"\\]|\\.)*)"\)\n/gm;
const NAMED = { t: 9, n: 10, r: 13 };

/** What lies at each address. */
const memory = new Map();
for (const [, start, text] of first.matchAll(SEGMENT)) {
    let address = Number(start);
    for (const [character, hex, escaped] of text.matchAll(/\\([0-9a-f]{2})|\\(.)|[^\\]/gi)) {
        const byte = hex ? parseInt(hex, 16) : NAMED[escaped] ?? (escaped ?? character).charCodeAt(0);
        memory.set(address, byte);
        address += 1;
    }
}

/** Numbers of the first piece, in its code and in what is no text, that may be addresses. */
const numbers = new Set();
for (const [, number] of first.replace(SEGMENT, '').matchAll(/(?:i32\.const |offset=)(\d+)/g)) {
    numbers.add(Number(number));
}
const isText = new Set(texts.flat());
for (const address of memory.keys()) {
    if (address % 4 !== 0 || isText.has(address)) continue;
    const bytes = [3, 2, 1, 0].map((index) => memory.get(address + index) ?? 0);
    numbers.add(bytes.reduce((sum, byte) => sum * 256 + byte, 0));
}

const moved = new Map();
for (const text of texts) {
    if ([text[0] - BEFORE, ...text].some((address) => numbers.has(address))) continue;
    for (const address of text.filter((address) => memory.has(address))) {
        moved.set(address, memory.get(address));
        memory.delete(address);
    }
}

/** A module with these bytes as its data, and not those of the other. */
function withData(module, bytes, others) {
    const addresses = [...bytes.keys()].filter((address) => bytes.get(address) !== 0)
        .sort((one, other) => one - other);
    const spelled = (byte) => `\\${byte.toString(16).padStart(2, '0')}`;
    let [lines, end] = ['', -Infinity];
    for (const address of addresses) {
        const gap = Array.from({ length: Math.min(address - end, GAP) }, (_, index) => end + index);
        if (gap.length < GAP && !gap.some((empty) => others.get(empty))) {
            lines += spelled(0).repeat(gap.length);
        } else {
            lines += `${lines && '")\n'} (data (i32.const ${address}) "`;
        }
        lines += spelled(bytes.get(address));
        end = address + 1;
    }
    return `${module.replace(SEGMENT, '').replace(/\)\n$/, '')}${lines && `${lines}")\n`})\n`;
}
writeFileSync(firstFile, withData(first, memory, moved), 'latin1');
writeFileSync(restFile, withData(rest, moved, memory), 'latin1');
