// Gives the functions of a module's first piece that the others call short names, and says them in the order in
// which the functions lie: so pieces get smaller.
//
// node browser/names.mjs PIECE.wat…
//
// The pieces are written in place.

import { readFileSync, writeFileSync } from 'node:fs';

const files = process.argv.slice(2);
const [first, ...others] = files.map((file) => readFileSync(file, 'latin1'));

const EXPORT = /^ \(export "(.*)" \(func (\S+)\)\)\n/gm;
const IMPORT = /^( \(import "primary" )"(.*)"(?= \(func )/gm;

/** How long the table is, which grew after the first cut. */
const TABLE = /^( \((?:import "primary" "table" \()?table \S+ )(\d+ \d+)/m;
const size = TABLE.exec(first)[2];

const places = new Map([...first.matchAll(/^ \((?:import .* \()?func (\S+)/gm)]
    .map(([, name], place) => [name, place]));
/** What pages call has the names that they know. */
const isOfPages = (name) => name.startsWith('weft_');
const exported = [...first.matchAll(EXPORT)]
    .map(([line, name, symbol]) => ({ line, name, symbol }))
    .sort((one, other) => places.get(one.symbol) - places.get(other.symbol));
const short = new Map(exported.filter(({ name }) => !isOfPages(name))
    .map(({ name }, index) => [name, index.toString(36)]));
const named = (name) => short.get(name) ?? name;

const lines = exported.map(({ name, symbol }) => ` (export "${named(name)}" (func ${symbol}))\n`).join('');
const start = first.search(/^ \(export /m);
const rest = first.replace(EXPORT, '');
writeFileSync(files[0], rest.slice(0, start) + lines + rest.slice(start), 'latin1');
for (const [index, other] of others.entries()) {
    const text = other.replace(IMPORT, (_, head, name) => `${head}"${named(name)}"`);
    writeFileSync(files[index + 1], text.replace(TABLE, `$1${size}`), 'latin1');
}
