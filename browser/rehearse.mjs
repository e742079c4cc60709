// Rehearses a page that reads what is named by a CID from a node, and writes down which functions of
// its module that takes: these are what a page loads at first (Scripts/build-browser). It is also a
// test: what is read has to be what was added.
//
// node browser/rehearse.mjs PAGE.wasm PARTNER.wasm [PROFILE]
//
// Both run here, on a clock that goes forward when nothing else is to be done.

import assert from 'node:assert/strict';
import { createHash, webcrypto } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

const [pageFile, partnerFile, profile] = process.argv.slice(2);
const encoder = new TextEncoder(), decoder = new TextDecoder();
const sha256 = (bytes) => createHash('sha256').update(bytes).digest();

const Kind = {
    ready: 1, ended: 2, found: 3, bytes: 4, finished: 5, failed: 6, opened: 22, refused: 23, listed: 28,
};

let now = 1;
/** What is to be done when the module that is called has returned, and when all of that is done. */
const later = [], slow = [];

/** A module that is a peer, and what it keeps on disk. */
class Peer {
    disk = new Map();
    events = [];
    /** Whether it is given digests, as pages of secure origins are. */
    hashes = true;
    hasRoom = true;
    /** Whether nothing of what it sends arrives, or it arrives with an error. */
    isMute = false;
    isGarbled = false;

    static async load(file) {
        const peer = new Peer();
        const key = (pointer, count) => Buffer.from(peer.view(pointer, count)).toString('hex');
        const nothing = () => 0;
        const { instance } = await WebAssembly.instantiate(readFileSync(file), {
            weft: {
                random: (pointer, count) => webcrypto.getRandomValues(peer.view(pointer, count)),
                send: (channel, pointer, count) => {
                    const bytes = peer.view(pointer, count).slice();
                    if (peer.isGarbled) bytes[bytes.length - 1] ^= 1;
                    if (!peer.isMute) later.push(() => peer.at(channel).run('received', channel, bytes, now));
                    if (peer.hasRoom) return 1;
                    slow.push(() => peer.run('writable', channel));
                    return 0;
                },
                hash: (number, pointer, count) => {
                    const digest = sha256(peer.view(pointer, count));
                    if (peer.hashes) slow.push(() => peer.run('hashed', number, digest, now));
                    return peer.hashes ? 1 : 0;
                },
                stored: (hash, count) => (peer.disk.has(key(hash, count)) ? 1 : 0),
                store: (hash, hashCount, pointer, count) => {
                    peer.disk.set(key(hash, hashCount), peer.view(pointer, count).slice());
                },
                unstore: (hash, count) => peer.disk.delete(key(hash, count)),
                load: (number, hash, count) => {
                    const bytes = peer.disk.get(key(hash, count));
                    slow.push(() => peer.run('read_from_disk', number, sha256(bytes), bytes, now));
                },
                event: (kind, subject, number, pointer, count) => {
                    const bytes = peer.view(pointer, count).slice();
                    peer.events.push({ kind, subject, number, bytes });
                    if (kind === Kind.bytes) later.push(() => peer.run('took', subject, count, now));
                },
                message: nothing,
            },
        });
        peer.exports = instance.exports;
        return peer;
    }

    /** Who is at the other end of a channel. */
    at(channel) { return this === page ? nodes.get(channel) : page; }

    view(pointer, count) { return new Uint8Array(this.exports.memory.buffer, pointer, count); }

    run(name, ...parameters) {
        const placed = [];
        const flat = parameters.flatMap((parameter) => {
            if (typeof parameter === 'number') return [parameter];
            const pointer = this.exports.weft_allocate(parameter.length);
            this.view(pointer, parameter.length).set(parameter);
            placed.push(pointer);
            return [pointer, parameter.length];
        });
        const answer = this.exports[`weft_${name}`](...flat);
        for (const pointer of placed) this.exports.weft_free(pointer);
        // After each call pages ask when the next is due.
        this.deadline = this.exports.weft_deadline();
        return answer;
    }

    ask(name, ...parameters) {
        const reply = this.run(name, ...parameters);
        const [status, count] = new Uint32Array(this.view(reply, 8).slice().buffer);
        const answer = decoder.decode(this.view(reply + 8, count).slice());
        this.exports.weft_free(reply);
        if (status !== 0) throw new Error(answer);
        return answer;
    }

    start(isServing) {
        const secret = webcrypto.getRandomValues(new Uint8Array(64));
        this.name = this.ask('start', Buffer.concat([secret, encoder.encode('rehearsal')]),
            512 << 20, isServing ? 1 : 0);
    }

    /** Adds content; answers its CID. */
    put(bytes) {
        this.ask('put', 1, bytes, now);
        return this.ask('put_end', 1, now);
    }

    /** Keeps a block on disk; answers its CID. */
    keep(codec, block) {
        const hash = Buffer.concat([Buffer.from([0x12, 0x20]), sha256(block)]);
        this.disk.set(hash.toString('hex'), block);
        return Buffer.concat([Buffer.from([1, codec]), hash]);
    }

    reading = 0;

    /** Reads what a path leads to: its bytes, or the events that say why not. */
    async read(path, { from = NaN, to = NaN, isListing = false } = {}) {
        const number = ++this.reading;
        this.events = [];
        this.ask('read', number, encoder.encode(path.join('\0')), from, to, isListing ? 1 : 0,
            30_000, now);
        const ends = [Kind.finished, Kind.failed];
        await until(() => this.events.some((event) => (
            event.subject === number && ends.includes(event.kind))));
        const wanted = isListing ? Kind.listed : Kind.bytes;
        return {
            failed: this.events.find(({ kind }) => kind === Kind.failed),
            bytes: Buffer.concat(this.events.filter(({ kind, subject }) => (
                kind === wanted && subject === number)).map(({ bytes }) => bytes)),
        };
    }
}

/** Goes on until something is so. */
async function until(isSo) {
    for (let steps = 0; !isSo(); steps += 1) {
        assert.ok(steps < 100_000, 'the rehearsal gets stuck');
        const next = later.shift() ?? slow.shift();
        if (next !== undefined) {
            next();
            continue;
        }
        const due = Math.min(...peers.map((peer) => peer.deadline));
        assert.ok(Number.isFinite(due), 'nothing is due');
        now = Math.max(now, Math.ceil(due));
        for (const peer of peers) if (peer.deadline <= now) peer.run('advance', now);
    }
}

/** Goes on until nothing is on its way. */
const quiet = () => until(() => later.length + slow.length === 0);

/** A CID as text: base32 with its prefix. */
function text(cid) {
    const bits = [...cid].map((byte) => byte.toString(2).padStart(8, '0')).join('');
    const digits = bits.match(/.{1,5}/g).map((five) => parseInt(five.padEnd(5, '0'), 2));
    return 'b' + digits.map((digit) => 'abcdefghijklmnopqrstuvwxyz234567'[digit]).join('');
}

const field = (number, bytes) => Buffer.concat([Buffer.from([number << 3 | 2, bytes.length]), bytes]);

/** The block of a folder: dag-pb with UnixFS in it. */
function folder(entries) {
    const links = Object.entries(entries).sort().map(([name, cid]) => field(2, Buffer.concat([
        field(1, cid), field(2, encoder.encode(name)), Buffer.from([0x18, 0]),
    ])));
    return Buffer.concat([...links, field(1, Buffer.from([8, 1]))]);
}

/** The block of a file whose pieces are blocks of 64 bytes. */
function file(pieces) {
    const links = pieces.map((cid) => field(2, Buffer.concat([field(1, cid), Buffer.from([0x18, 64])])));
    const size = 64 * pieces.length;
    const sizes = pieces.map(() => Buffer.from([0x20, 64]));
    const data = Buffer.concat([
        Buffer.from([8, 2, 0x18, size & 127 | 128, size >> 7 & 127 | 128, size >> 14]), ...sizes]);
    return Buffer.concat([...links, Buffer.from([10, data.length & 127 | 128, data.length >> 7]), data]);
}

const page = await Peer.load(pageFile);
const first = await Peer.load(partnerFile), second = await Peer.load(partnerFile);
const peers = [page, first, second];
/** Who is at which channel. */
const nodes = new Map();
let channel = 0;

async function connect(node) {
    channel += 1;
    nodes.set(channel, node);
    const address = `/ip4/127.0.0.1/tcp/4002/ws/p2p/${node.name}`;
    assert.equal(page.ask('address', encoder.encode(address)).split('\n')[0], node.name);
    page.run('dialling', 1, now);
    node.ask('accept', channel, now);
    page.ask('opened', channel, encoder.encode(address), now);
    await until(() => page.events.some(({ kind, subject }) => (
        kind === Kind.ready && subject === channel)));
    page.run('dialling', 0, now);
    // Nodes ask who the page is and whether it is there, offer what it does not speak, and talk nonsense.
    const names = ['/rehearsal', '/ipfs/ping/1.0.0', '/ipfs/id/push/1.0.0', '/weft/exchange/1'];
    for (const [request, name] of names.entries()) {
        node.events = [];
        node.run('stream_open', request, encoder.encode(`${page.name}\n${name}`), now);
        await until(() => node.events.some(({ kind }) => (
            [Kind.opened, Kind.refused].includes(kind))));
        const opened = node.events.find(({ kind }) => kind === Kind.opened);
        if (opened === undefined) continue;
        node.run('stream_send', opened.number, new Uint8Array(32), now);
        await quiet();
        node.run('stream_reset', opened.number, now);
    }
}

/** The channel that was opened last breaks. */
function lose() {
    page.run('closed', channel, now);
    nodes.get(channel).run('closed', channel, now);
}

/** What was read is what it was to be. */
const same = (got, wanted) => assert.ok(
    got.bytes.equals(wanted), got.failed ? decoder.decode(got.failed.bytes) : `${got.bytes.length} bytes`);

page.start(false);
// What there is: files of few and of many blocks, and folders with and without index.html.
const film = Buffer.alloc(24 << 20, 'film').map((byte, index) => byte ^ (index >> 8) ^ (index * 7));
const dust = Buffer.alloc(64 * 900, 'dust').map((byte, index) => byte ^ (index >> 6) ^ (index >> 12));
const note = Buffer.from('hello');
const pictures = Array.from({ length: 60 }, (_, number) => Buffer.alloc(40_000 + number, number));
const names = pictures.map((_, number) => `${number}.png`);
let filmCID, gallery, root;
for (const node of [first, second]) {
    node.start(true);
    node.run('bring', encoder.encode('/rehearsal'), 1000, 1, now);
    filmCID = node.put(film);
    const noteCID = node.keep(0x55, note);
    const pieces = Array.from({ length: 900 }, (_, index) => (
        node.keep(0x55, dust.subarray(64 * index, 64 * index + 64))));
    const site = node.keep(0x70, folder({
        'index.html': noteCID, 'note.txt': noteCID, dust: node.keep(0x70, file(pieces)),
    }));
    root = text(node.keep(0x70, folder({ a: site })));
    // A node gives what it has in memory: what it has read.
    same(await node.read([root, 'a', 'note.txt']), note);
    same(await node.read([root, 'a', 'dust']), dust);
    const cids = pictures.map((picture) => node.keep(0x55, picture));
    gallery = text(node.keep(0x70, folder(Object.fromEntries(
        names.map((name, number) => [name, cids[number]])))));
    for (const [number, name] of names.entries()) {
        same(await node.read([gallery, name]), pictures[number]);
    }
}

// A page asks for its pictures all at once, before a node is there; the site is quicker with some.
const numbers = names.map((_, number) => 4000 + number);
page.run('dialling', 1, now);
for (const [number, name] of names.entries()) {
    page.ask('read', numbers[number], encoder.encode(`${gallery}\0${name}`), NaN, NaN, 0, 30_000, now);
}
for (const number of numbers.splice(0, 20)) page.run('cancel', number, now);
await connect(first);
for (const number of numbers.splice(0, 10)) page.run('cancel', number, now);
const came = (number, wanted) => page.events.filter(({ kind, subject }) => (
    kind === wanted && subject === number));
await until(() => numbers.every((number) => came(number, Kind.finished).length > 0));
for (const number of numbers) {
    const bytes = Buffer.concat(came(number, Kind.bytes).map(({ bytes }) => bytes));
    assert.ok(bytes.equals(pictures[number - 4000]), `picture ${number}`);
}
lose();

await connect(first);
same(await page.read([root, 'a', 'note.txt']), note);
same(await page.read([root, 'a']), note);
same(await page.read([root, 'a'], { isListing: true }), Buffer.from('dust/index.html/note.txt/'));
same(await page.read([root, 'a', 'dust']), dust);
same(await page.read([filmCID]), film);
same(await page.read([filmCID], { from: 1000, to: 2_999_999 }), film.subarray(1000, 3_000_000));
same(await page.read([filmCID], { from: -500 }), film.subarray(-500));
assert.equal((await page.read([filmCID], { from: 1e9 })).failed.number, 5);
assert.equal((await page.read([root, 'a', 'nothing'])).failed.number, 1);
assert.equal((await page.read([root])).failed.number, 2);
same(await page.read([text(page.keep(0x55, Buffer.from('kept')))]), Buffer.from('kept'));
assert.throws(() => page.ask('read', 1000, encoder.encode('b'), NaN, NaN, 0, 1000, now));

// Nobody has it; the node does not answer.
const absent = text(Buffer.concat([Buffer.from([1, 0x55, 0x12, 0x20]), sha256('?')]));
assert.equal((await page.read([absent])).failed.number, 6);
first.isMute = true;
assert.equal((await page.read([absent])).failed.number, 9);
first.isMute = false;
lose();
assert.equal((await page.read([absent])).failed.number, 6);

// There are two nodes, and one of them leaves; the browser hashes nothing, and is slow to send.
const [big, bigger] = [Buffer.from(film).reverse(), Buffer.concat([film, dust, film, dust])];
for (const node of [first, second]) for (const content of [big, bigger]) node.put(content);
await connect(first);
await connect(second);
// Some leave in the middle, and others as soon as they know how much it is.
for (const [number, kind] of [[2000, Kind.bytes], [2001, Kind.found]]) {
    const content = Buffer.from(film).fill(number, 1 << 20);
    const cid = [first, second].map((node) => node.put(content))[0];
    page.ask('read', number, encoder.encode(cid), NaN, NaN, 0, 30_000, now);
    await until(() => page.events.some((event) => event.kind === kind && event.subject === number));
    page.run('cancel', number, now);
    await quiet();
}
same(await page.read([first.put(big)]), big);
[page.hashes, page.hasRoom] = [false, false];
const reading = page.read([first.put(bigger)]);
await until(() => page.events.some(({ kind }) => kind === Kind.bytes));
lose();
same(await reading, bigger);
page.run('close', channel - 1, now);

// What a node sends is changed on its way.
await connect(second);
second.isGarbled = true;
page.events = [];
page.ask('read', 3000, encoder.encode(absent), NaN, NaN, 0, 30_000, now);
await until(() => page.events.some(({ kind }) => kind === Kind.ended));
for (const what of [0, 1, 2, 3]) page.run('count', what);

if (profile !== undefined) {
    const room = 1 << 20;
    const pointer = page.exports.weft_allocate(room);
    const length = page.exports.__write_profile(pointer, room);
    assert.ok(length <= room, 'the profile is too long');
    writeFileSync(profile, page.view(pointer, length).slice());
}
