// Says which functions of a module are loaded at first: those that a rehearsal has called, and what these
// may call to lengthen arrays and tables and to copy values, since how long those get in a rehearsal, and
// which cases occur, is chance.
//
// node browser/cut.mjs WHOLE REHEARSED
//
// Both are call graphs as wasm-opt prints them: of the module, and of the piece of it that was called.

import { readFileSync } from 'node:fs';

/** How a call graph shows functions that there are, and those that are called by their place in the table. */
const DEFINED = 'filled", fillcolor="white', PASSED = 'filled, rounded';

const [whole, rehearsed] = process.argv.slice(2).map((file) => readFileSync(file, 'utf8'));

/**
 * Functions of the standard library that make room in arrays, dictionaries and sets, or look into them. Whether
 * a dictionary is copied as a whole, because there are two of it, is no chance.
 */
const makesRoom = (name) => (
    /^\$e(s22_ContiguousArrayBuffer|Sp14moveInitialize|(s17_NativeDictionary|s10_NativeSet)(?!V4copy)|SDy)/
        .test(name));
/** Functions that move, copy and destroy values; others are passed some, which no call names then. */
const moves = (name) => /^\$eSp14moveInitialize|CfD|WO[a-z]\w*$/.test(name);

/** Which functions each function calls by name. */
function calleesIn(graph) {
    const callees = new Map();
    for (const [, caller, callee] of graph.matchAll(/^ {2}"(.+)" -> "(.+)"; \/\/ call$/gm)) {
        callees.set(caller, [...callees.get(caller) ?? [], callee]);
    }
    return callees;
}
const callees = calleesIn(whole), calledThere = calleesIn(rehearsed);
/** Of exports that were not called something of the same name is left, which calls them by their place. */
const isLeftOver = (name) => name.startsWith('weft_') && callees.has(name) && !calledThere.has(name);
const functions = (graph, style) => [...graph.matchAll(/^ {2}"(.+)" \[style="(.+)"\];$/gm)]
    .filter(([, , found]) => found === style).map(([, name]) => name);
const known = new Set(functions(whole, DEFINED));
const kept = new Set([
    ...functions(rehearsed, DEFINED).filter((name) => known.has(name) && !isLeftOver(name)),
    ...functions(whole, PASSED).filter(moves),
]);
for (const name of kept) {
    for (const callee of callees.get(name) ?? []) {
        if (makesRoom(callee) || moves(callee)) kept.add(callee);
    }
}
console.log([...kept].join('\n'));
