// Moves texts to the piece of a module that is the first to use them: where a module is cut, all its data stays
// in the first piece.
//
// node browser/texts.mjs MAP PIECE.wat…
//
// The map is the linker's, which says where each text lies. The pieces are written in place.

import { readFileSync, writeFileSync } from 'node:fs';

/** So much before its bytes a String points; a StaticString points at them. */
const BEFORE = 20;
/** So many zeros in a row are not written out. */
const GAP = 16;

const [mapFile, ...files] = process.argv.slice(2);
const map = readFileSync(mapFile, 'latin1');
const pieces = files.map((file) => readFileSync(file, 'latin1'));

/** The addresses of each text. */
const texts = [...map.matchAll(/^ *([0-9a-f]+) +[0-9a-f]+ +([0-9a-f]+) {17}\.L\.str\./gm)]
    .map(([, start, size]) => (
        Array.from({ length: parseInt(size, 16) }, (_, index) => parseInt(start, 16) + index)));

const SEGMENT = /^ \(data (?:\$\S+ )?\(i32\.const (\d+)\) "((?:[^"\\]|\\.)*)"\)\n/gm;
const NAMED = { t: 9, n: 10, r: 13 };

/** What lies at each address. */
const memory = new Map();
for (const [, start, text] of pieces[0].matchAll(SEGMENT)) {
    let address = Number(start);
    for (const [character, hex, escaped] of text.matchAll(/\\([0-9a-f]{2})|\\(.)|[^\\]/gi)) {
        const byte = hex ? parseInt(hex, 16) : NAMED[escaped] ?? (escaped ?? character).charCodeAt(0);
        memory.set(address, byte);
        address += 1;
    }
}

/** Numbers that may be addresses: those in a piece's code, and for the first one those in what is no text. */
const isText = new Set(texts.flat());
const numbers = pieces.map((piece) => new Set(
    [...piece.replace(SEGMENT, '').matchAll(/(?:i32\.const |offset=)(\d+)/g)].map(([, number]) => Number(number))));
for (const address of memory.keys()) {
    if (address % 4 !== 0 || isText.has(address)) continue;
    const bytes = [3, 2, 1, 0].map((index) => memory.get(address + index) ?? 0);
    numbers[0].add(bytes.reduce((sum, byte) => sum * 256 + byte, 0));
}

/** What lies at each address, by pieces. A text that none is seen to use is the last one's. */
const data = pieces.map(() => new Map());
for (const text of texts) {
    const places = [text[0] - BEFORE, ...text];
    const user = numbers.findIndex((used) => places.some((address) => used.has(address)));
    for (const address of text.filter((address) => memory.has(address))) {
        data.at(user).set(address, memory.get(address));
        memory.delete(address);
    }
}
for (const [address, byte] of memory) data[0].set(address, byte);

/** A piece with its own bytes as its data, and not those of the others. */
function withData(module, bytes) {
    const addresses = [...bytes.keys()].filter((address) => bytes.get(address) !== 0)
        .sort((one, other) => one - other);
    const spelled = (byte) => `\\${byte.toString(16).padStart(2, '0')}`;
    let [lines, end] = ['', -Infinity];
    for (const address of addresses) {
        const gap = Array.from({ length: Math.min(address - end, GAP) }, (_, index) => end + index);
        if (gap.length < GAP && !gap.some((empty) => data.some((others) => others.get(empty)))) {
            lines += spelled(0).repeat(gap.length);
        } else {
            lines += `${lines && '")\n'} (data (i32.const ${address}) "`;
        }
        lines += spelled(bytes.get(address));
        end = address + 1;
    }
    return `${module.replace(SEGMENT, '').replace(/\)\n$/, '')}${lines && `${lines}")\n`})\n`;
}
pieces.forEach((piece, index) => writeFileSync(files[index], withData(piece, data[index]), 'latin1'));
