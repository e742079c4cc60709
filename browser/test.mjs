// Asks the WebAssembly build of Core what the host build is asked as well: the published vectors
// of hashes, CIDs and codecs. Exits with an error at the first wrong answer.

import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { codecs, loadCore } from './contracts.mjs';

globalThis.crypto ??= webcrypto;  // Node before version 19

const file = (path) => readFileSync(new URL(`../${path}`, import.meta.url));
const core = await loadCore(file('browser/weft-contracts.wasm'));
const bytes = (base64) => new Uint8Array(Buffer.from(base64, 'base64'));
const hex = (text) => new Uint8Array(Buffer.from(text, 'hex'));

// A CID's text and binary forms, and content that does and does not belong to it.
const hello = new TextEncoder().encode('hello world');
const cid = core.parseCID('bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e');
assert.equal(
    Buffer.from(cid).toString('hex'),
    '01551220b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9');
assert.equal(
    core.formatCID(core.parseCID('QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n'), 'b'),
    'bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku');
core.verifyBlock(cid, hello);
assert.throws(() => core.verifyBlock(cid, hello.slice(1)), /does not match/);
assert.throws(() => core.parseCID('bafkreifzjut3te2n'), /ends too early/);
assert.throws(() => core.formatCID(cid, '!'), /multibase/);

// Every hash function, on messages of every length of interest.
const message = (length) => Uint8Array.from({ length }, (_, index) => index % 251);
const codes = {
    sha1: '11', 'sha2-256': '12', 'sha2-512': '13', 'sha3-512': '14', 'sha3-384': '15',
    'sha3-256': '16', 'sha3-224': '17', 'dbl-sha2-256': '56', 'blake2b-160': '94e402',
    'blake2b-256': 'a0e402', 'blake2b-512': 'c0e402',
};
const rows = (path) => file(path).toString().trim().split('\n')
    .filter((line) => !line.startsWith('#')).map((line) => line.split(','));
const length = (digest) => (digest.length / 2).toString(16).padStart(2, '0');
let hashes = 0;
for (const [name, count, digest] of rows('Vectors/hashes.csv')) {
    if (name === 'sha2-384') continue; // It names no blocks.
    core.verifyBlock(hex(`0155${codes[name]}${length(digest)}${digest}`), message(Number(count)));
    hashes += 1;
}
for (const [count, output] of rows('Vectors/blake3.csv')) {
    core.verifyBlock(hex(`01551e20${output.slice(0, 64)}`), message(Number(count)));
    hashes += 1;
}
assert.equal(hashes, 343);

// Every fixture block belongs to its CID, and converts to the same value in the other codecs.
let conversions = 0;
for (const { name, blocks } of JSON.parse(file('Vectors/codecs/codec-fixtures.json'))) {
    for (const [from, source] of Object.entries(blocks)) {
        core.verifyBlock(core.parseCID(source.cid), bytes(source.base64));
        for (const [to, target] of Object.entries(blocks)) {
            const converted = core.convertBlock(bytes(source.base64), from, to);
            assert.deepEqual(converted, bytes(target.base64), `${name} from ${from} to ${to}`);
            conversions += 1;
        }
    }
}
assert.ok(conversions > 300, `only ${conversions} conversions`);

// What the specifications forbid is refused with a message, and leaves the module usable.
let refusals = 0;
for (const { codec, kind, name, hex: block } of
    JSON.parse(file('Vectors/codecs/codec-fixtures-negative.json'))) {
    if (kind !== 'decode' || !(codec in codecs) || block === undefined) continue;
    assert.throws(() => core.convertBlock(hex(block), codec, 'dag-json'), Error, name);
    refusals += 1;
}
for (const { type, tags, name, hex: block } of JSON.parse(file('Vectors/codecs/dasl-cbor.json'))) {
    if (type !== 'invalid_in' || !tags.includes('dag-cbor')) continue;
    assert.throws(() => core.convertBlock(hex(block), 'dag-cbor', 'dag-cbor'), Error, name);
    refusals += 1;
}
assert.ok(refusals > 40, `only ${refusals} refusals`);

// A contract's module becomes the same bytes as on the host, and this engine runs them.
for (const [original, expected] of rows('Vectors/webassembly/instrumented.csv')) {
    const { module, instantiationGas } = core.instrument(hex(original));
    assert.equal(instantiationGas, 8192n);
    assert.equal(Buffer.from(module).toString('hex'), expected);
    const { exports } = (await WebAssembly.instantiate(module)).instance;
    exports['weft:gas'].value = 1000n;
    assert.equal(exports.run(), 0x4018000000000000n);
    assert.equal(exports['weft:gas'].value, 927n);
}
assert.throws(
    () => core.instrument(hex('0061736d01000000050401030101')), /uses threads and atomic.*-pthread/);

// Memory that was given back is used again.
const before = core.memory.buffer.byteLength;
for (let round = 0; round < 2000; round += 1) core.verifyBlock(cid, hello);
assert.equal(core.memory.buffer.byteLength, before);

console.log(`browser core: ${hashes} hashes, ${conversions} conversions, ${refusals} refusals`);
