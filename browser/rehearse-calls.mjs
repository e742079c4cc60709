// Rehearses a page that asks peers for calls, and writes down which functions of the module for calls
// that takes: these are what a page loads that calls (Scripts/build-browser). The rest runs contracts
// and settles disputes. It is also a test: what is answered has to be what was to be answered.
//
// node browser/rehearse-calls.mjs PAGE.wasm PEER.wasm [PROFILE]

import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { bytesContent } from '../contracts/host/contract.mjs';
import { recordBlock } from '../contracts/host/identity.mjs';
import { base32, clock, fillRandom, Module, sha256, until } from './module.mjs';

const [pageFile, peerFile, profile] = process.argv.slice(2);
const encoder = new TextEncoder(), decoder = new TextDecoder();

const Wish = {
    open: 1, send: 2, finish: 3, reset: 4, run: 5, load: 7, replay: 8, answered: 9, failed: 10,
};
const Told = { opened: 22, refused: 23, accepted: 24, message: 25, finished: 26, reset: 27 };

/** How answers are checked. */
const [NONE, SAMPLE] = [0, 1];
const quorum = (peers) => peers + 1;

const later = [];
const modules = [];
/** What is to be done next: with all that was ordered, nothing is due. */
const goOn = (isSo) => until(isSo, modules, () => later.shift());

function pack(parts) {
    return Buffer.concat(parts.flatMap((part) => {
        const length = Buffer.alloc(4);
        length.writeUInt32LE(part.length);
        return [length, Buffer.from(part)];
    }));
}

function unpack(bytes) {
    const parts = [];
    for (let offset = 0; offset < bytes.length;) {
        const end = offset + 4 + Buffer.from(bytes).readUInt32LE(offset);
        parts.push(bytes.slice(offset + 4, end));
        offset = end;
    }
    return parts;
}

const lines = (bytes) => decoder.decode(bytes).split('\n');

/** The name of the peer with a seed: the hash of its public key as CIDs have it, that is the key itself. */
function nameOf(seed) {
    const key = createPrivateKey({
        key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
        format: 'der', type: 'pkcs8',
    });
    const { x } = createPublicKey(key).export({ format: 'jwk' });
    return base58([0, 0x24, 8, 1, 0x12, 0x20, ...Buffer.from(x, 'base64url')]);
}

function base58(bytes) {
    const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
    let digits = '';
    for (let rest = BigInt(`0x${Buffer.from(bytes).toString('hex')}`); rest > 0n; rest /= 58n) {
        digits = alphabet[Number(rest % 58n)] + digits;
    }
    return '1'.repeat(bytes.findIndex((byte) => byte !== 0)) + digits;
}

let streams = 0;
/** Who is at the ends of streams. */
const ends = new Map();

/** A peer that makes calls, or runs them. */
class Peer extends Module {
    fates = new Map();
    /** The calls that have ended. */
    ended = new Set();
    /** What runs come to: an answer, nothing, or nothing ever. */
    ability = 'whole';
    /** The calls of its own that it has been asked to run. */
    own = [];

    static async load(file, slots) {
        const peer = new Peer('calls_advance', 'calls_deadline');
        await peer.load(file, {
            random: (pointer, count) => fillRandom(peer.view(pointer, count)),
            event: (kind, subject, number, pointer, count) => {
                const bytes = Buffer.from(peer.view(pointer, count).slice());
                later.push(() => peer.take(kind, subject, number, bytes));
            },
        });
        const secret = fillRandom(new Uint8Array(64));
        peer.name = nameOf(secret.subarray(0, 32));
        peer.protocol = lines(peer.ask('calls_start', secret, 1e9, slots, 1_700_000_000))[0];
        modules.push(peer);
        return peer;
    }

    tell(kind, request, number, bytes = new Uint8Array()) {
        later.push(() => this.run('calls_stream', kind, request, number, bytes, clock.now));
    }

    take(kind, subject, number, bytes) {
        switch (kind) {
            case Wish.open: {
                const other = modules.find(({ name }) => name === lines(bytes)[0]);
                // Peers that are gone refuse.
                if (!other.isHere) return this.tell(Told.refused, subject, 1);
                streams += 1;
                ends.set(streams, [this, other]);
                this.tell(Told.opened, subject, streams);
                return other.tell(Told.accepted, 0, streams, encoder.encode(this.name));
            }
            case Wish.send: return this.beyond(number).tell(Told.message, 0, number, bytes);
            case Wish.finish: return this.beyond(number).tell(Told.finished, 0, number);
            case Wish.reset: return this.beyond(number).tell(Told.reset, 0, number);
            case Wish.run: return this.runCall(number, bytes);
            case Wish.load: return this.run('loaded', number, new Uint8Array(), 2, clock.now);
            case Wish.answered:
            case Wish.failed:
                this.ended.add(subject);
                return this.fates.get(subject)(kind === Wish.failed ? lines(bytes) : unpack(bytes));
        }
    }

    isHere = true;

    beyond(stream) { return ends.get(stream).find((peer) => peer !== this); }

    runCall(order, bytes) {
        const [call, asker] = unpack(bytes);
        if (asker.length === 0) return this.own.push(order);
        if (this.ability === 'never') return undefined;
        const record = this.ability === 'none' ? new Uint8Array() : this.record(call);
        return this.run('ran', order, record, clock.now);
    }

    /** The record of a run that answers with what it was given. */
    record(bytes) {
        const parts = unpack(this.ask('call_parts', bytes));
        const [, contract, gas] = lines(parts[0]);
        const headers = lines(parts[4]).filter((line) => line !== '').map((line) => line.split(': '));
        const call = {
            contract, gas: BigInt(gas), method: decoder.decode(parts[1]),
            path: decoder.decode(parts[2]), query: decoder.decode(parts[3]),
            headers: new Map(headers), body: bytesContent(parts[5]),
        };
        const answer = {
            outcome: 0, gas: 1234n, status: 200, headers: [['content-type', 'text/plain']],
            body: Buffer.from(`answer to ${call.query}`),
        };
        return recordBlock(
            sha256, { call, reads: new Set([contract]), children: [], calleeGas: 0n }, answer);
    }
}

const page = await Peer.load(pageFile, 0);
const peers = [];
for (let count = 0; count < 4; count += 1) peers.push(await Peer.load(peerFile, 4));

function meet(peer, isThere) {
    page.run('calls_note', encoder.encode(peer.name), isThere ? 1 : 0, clock.now);
    peer.run('calls_note', encoder.encode(page.name), isThere ? 1 : 0, clock.now);
    peer.isHere = isThere;
}

const contract = base32(Buffer.concat([Buffer.from([1, 0x55, 0x12, 0x20]), sha256('contract')]));
let number = 0;

/** Has a call answered: gives the record and what is told with it, or why there is none. */
async function ask(query, audit, { body = '', speed = 0, headers = '', patience = 30_000, gas = 1e10 } = {}) {
    number += 1;
    let fate;
    page.fates.set(number, (told) => { fate = told; });
    const argument = pack([
        encoder.encode(`weft://${contract}/run?${query}`), encoder.encode(body === '' ? 'GET' : 'POST'),
        encoder.encode(headers), encoder.encode(body), new Uint8Array(),
    ]);
    page.ask('call', number, argument, gas, audit, 2000, 0, patience, speed, 0, clock.now);
    await goOn(() => fate !== undefined || (speed > 0 && page.own.length > 0));
    return fate;
}

async function answered(query, audit, options) {
    const [record, told] = await ask(query, audit, options);
    assert.ok(Buffer.isBuffer(record), `${record}: ${told}`);
    const parts = unpack(page.ask('record_parts', record));
    unpack(page.ask('call_parts', parts[5]));
    assert.equal(parts[2].toString(), `answer to ${query}`, decoder.decode(told));
}

assert.equal((await ask('alone', NONE))[0], 'unreachable');
for (const peer of peers) meet(peer, true);
await answered('a=1', NONE);
await answered('a=1', NONE);
for (const gas of [2000, 70_000, 1e9]) await answered(`gas=${gas}`, NONE, { gas });
await answered('b', NONE, { body: 'hello', headers: 'weft-arg-x:y\naccept:text/plain\nuser-agent:z' });
// Of so many some are asked for again.
for (let count = 0; count < 100; count += 1) await answered(`sample=${count}`, SAMPLE);
await answered('two', quorum(2));
await answered('three', quorum(3));
meet(peers[2], false);
for (let count = 0; count < 10; count += 1) await answered(`less=${count}`, SAMPLE);
meet(peers[2], true);
await answered('more', SAMPLE);
peers[0].run('calls_offer', 1e8, 4, 2000, clock.now);
for (const ability of ['none', 'never']) {
    peers[1].ability = ability;
    for (let count = 0; count < 12; count += 1) await answered(`${ability}=${count}`, count % 2);
}
for (const peer of peers) peer.ability = 'never';
assert.match((await ask('never', NONE, { patience: 5000 }))[0], /^(deadline|unreachable)$/);
for (const peer of peers) peer.ability = 'none';
assert.equal((await ask('none', NONE))[0], 'unreachable');
// The page may run what nobody else does: what that takes is then loaded. It may also not.
assert.equal(await ask('here', SAMPLE, { speed: 1e9 }), undefined);
page.run('calls_cancel', number, clock.now);
page.own = [];
assert.equal(await ask('elsewhere', NONE, { speed: 1e9 }), undefined);
page.run('ran', page.own[0], new Uint8Array(), clock.now);
await goOn(() => page.ended.has(number));
assert.throws(() => page.ask('call', 1000, pack([
    encoder.encode('weft://nothing/'), encoder.encode('GET'), ...Array(3).fill(new Uint8Array()),
]), 1e9, NONE, 2000, 0, 1000, 0, 0, clock.now));
// What is left is a day's.
const day = clock.now + 86_400_000;
await goOn(() => clock.now > day || (later.length === 0 && !Number.isFinite(page.due)));

if (profile !== undefined) page.writeProfile(profile);
