// Rehearses a page that reads what is named by a CID from a node, and writes down what of its module that
// takes: this is what a page loads at first (Scripts/build-browser); and what it takes that the page has several
// nodes, loses some, and asks for calls, which it loads next. It is also a test: what is read has to be what was
// added.
//
// node browser/rehearse.mjs PAGE.wasm PARTNER.wasm [READS PROFILE]

import assert from 'node:assert/strict';
import { base32 as text, clock, fillRandom, Module, sha256, until } from './module.mjs';

const [pageFile, partnerFile, reads, profile] = process.argv.slice(2);
const encoder = new TextEncoder(), decoder = new TextDecoder();

const Kind = {
    ready: 1, ended: 2, found: 3, bytes: 4, finished: 5, failed: 6, speaks: 20, left: 21, opened: 22,
    refused: 23, accepted: 24, message: 25, streamFinished: 26, streamReset: 27, listed: 28,
};

const IDENTIFY = '/ipfs/id/1.0.0';

/** What is to be done when the module that is called has returned, and when all of that is done. */
const later = [], slow = [];

/** A module that is a peer, and what it keeps on disk. */
class Peer extends Module {
    disk = new Map();
    events = [];
    /** Whether it is given digests, as pages of secure origins are. */
    hashes = true;
    hasRoom = true;
    /** Whether nothing of what it sends arrives, or it arrives with an error. */
    isMute = false;
    isGarbled = false;

    static async load(file) {
        const peer = new Peer('advance', 'deadline');
        const key = (pointer, count) => Buffer.from(peer.view(pointer, count)).toString('hex');
        const nothing = () => 0;
        await peer.load(file, {
            random: (pointer, count) => fillRandom(peer.view(pointer, count)),
            send: (channel, pointer, count) => {
                const bytes = peer.view(pointer, count).slice();
                if (peer.isGarbled) bytes[bytes.length - 1] ^= 1;
                if (!peer.isMute) later.push(() => peer.at(channel).run('received', channel, bytes, clock.now));
                if (peer.hasRoom) return 1;
                slow.push(() => peer.run('writable', channel));
                return 0;
            },
            hash: (number, pointer, count) => {
                const digest = sha256(peer.view(pointer, count));
                if (peer.hashes) slow.push(() => peer.run('hashed', number, digest, clock.now));
                return peer.hashes ? 1 : 0;
            },
            stored: (hash, count) => (peer.disk.has(key(hash, count)) ? 1 : 0),
            store: (hash, hashCount, pointer, count) => {
                peer.disk.set(key(hash, hashCount), peer.view(pointer, count).slice());
            },
            unstore: (hash, count) => peer.disk.delete(key(hash, count)),
            load: (number, hash, count) => {
                const bytes = peer.disk.get(key(hash, count));
                slow.push(() => peer.run('read_from_disk', number, sha256(bytes), bytes, clock.now));
            },
            event: (kind, subject, number, pointer, count) => {
                const bytes = peer.view(pointer, count).slice();
                peer.events.push({ kind, subject, number, bytes });
                if (kind === Kind.bytes) later.push(() => peer.run('took', subject, count, clock.now));
                if (kind === Kind.accepted && decoder.decode(bytes).endsWith(IDENTIFY)) {
                    later.push(() => peer.introduce(number));
                }
            },
            message: nothing,
            bring: nothing,
        });
        return peer;
    }

    /** Says who it is, on a stream on which it was asked. */
    introduce(stream) {
        this.run('stream_send', stream, identity(), clock.now);
        this.run('stream_finish', stream, clock.now);
    }

    /** Who is at the other end of a channel. */
    at(channel) { return this === page ? nodes.get(channel) : page; }

    start(isServing) {
        const secret = fillRandom(new Uint8Array(64));
        this.name = decoder.decode(this.ask('start', Buffer.concat([secret, encoder.encode('rehearsal')]),
            512 << 20, isServing ? 1 : 0));
    }

    /** Adds content; answers its CID. */
    put(bytes) {
        this.ask('put', 1, bytes, clock.now);
        return decoder.decode(this.ask('put_end', 1, clock.now));
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
            30_000, clock.now);
        const ends = [Kind.finished, Kind.failed];
        await goOn(() => this.events.some((event) => (
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
const goOn = (isSo) => until(isSo, peers, () => later.shift() ?? slow.shift());

/** Goes on until nothing is on its way. */
const quiet = () => goOn(() => later.length + slow.length === 0);

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
    assert.equal(
        decoder.decode(page.ask('address', encoder.encode(address))).split('\n')[0], node.name);
    page.run('dialling', 1, clock.now);
    node.ask('accept', channel, clock.now);
    page.ask('opened', channel, encoder.encode(address), clock.now);
    await goOn(() => page.events.some(({ kind, subject }) => (
        kind === Kind.ready && subject === channel)));
    page.run('dialling', 0, clock.now);
    // Nodes ask who the page is and whether it is there, offer what it does not speak, and talk nonsense.
    const names = ['/rehearsal', '/ipfs/ping/1.0.0', '/ipfs/id/push/1.0.0', '/weft/exchange/1'];
    for (const [request, name] of names.entries()) {
        node.events = [];
        node.run('stream_open', request, encoder.encode(`${page.name}\n${name}`), clock.now);
        await goOn(() => node.events.some(({ kind }) => (
            [Kind.opened, Kind.refused].includes(kind))));
        const opened = node.events.find(({ kind }) => kind === Kind.opened);
        if (opened === undefined) continue;
        node.run('stream_send', opened.number, new Uint8Array(32), clock.now);
        await quiet();
        node.run('stream_reset', opened.number, clock.now);
    }
}

/** The channel that was opened last breaks. */
function lose() {
    page.run('closed', channel, clock.now);
    nodes.get(channel).run('closed', channel, clock.now);
}

/** Has a peer speak a protocol in messages that are made here. */
const bring = (peer, name, limit, isOffered) => (
    peer.run('bring', encoder.encode(name), limit, isOffered ? 1 : 0, clock.now));

/** What a node says of itself that a page asks for calls. */
function identity() {
    const address = (...parts) => field(2, Buffer.concat(parts.map((part) => Buffer.from(part))));
    const [ip4, ip6, quic, ws] = [[4, 10, 0, 0, 1], [41, ...Array(16).fill(7)], [0xcc, 3], [0xdd, 3]];
    const hash = Buffer.concat([Buffer.from([0x12, 0x20]), sha256('certificate')]);
    const relay = Buffer.from([0xa5, 3, 34, 0x12, 0x20, ...sha256('relay'), 0xa2, 2]);
    const text = (number, bytes) => field(number, Buffer.from(bytes));
    return Buffer.concat([
        address(ip4, [6, 0x0f, 0xa1]), address(ip4, [6, 0x0f, 0xa2], ws), address(ip6, [6, 0x0f, 0xa1]),
        address(ip4, [0x91, 2, 0x0f, 0xa1], quic), address(ip4, [6, 0x0f, 0xa1], relay),
        address(ip4, [0x91, 2, 0x0f, 0xa1], [0x98, 2, 0xd2, 3, hash.length], hash),
        address([54, 4], 'node', [6, 1, 0xbb, 0xc0, 3], ws), address([0xff, 0x7f, 1, 1]),
        text(3, '/rehearsal'), text(3, IDENTIFY), text(3, '/ipfs/ping/1.0.0'),
        field(4, Buffer.from([...ip4, 6, 0x0f, 0xa1])), text(5, 'ipfs/0.1.0'), text(6, 'rehearsal'),
        field(8, Buffer.alloc(100, 1)),
    ]);
}

/** Waits until a peer is told of something, on a stream if one is named; answers that. */
async function told(peer, kind, stream) {
    const isThis = (event) => event.kind === kind && event.number === (stream ?? event.number);
    await goOn(() => peer.events.some(isThis));
    return peer.events.find(isThis);
}

/**
 * The page finds that a node speaks its protocol, and has messages to and from there, as it has when it asks
 * for calls.
 */
async function converse(node) {
    await told(page, Kind.speaks);
    const orders = ['send', 'finish', 'reset'];
    const order = (peer, what, stream, ...bytes) => {
        peer.events = [];
        peer.run(`stream_${orders[what]}`, stream, ...bytes, clock.now);
    };
    let request = 0;
    const open = async () => {
        page.events = [];
        node.events = [];
        request += 1;
        page.run('stream_open', request, encoder.encode(`${node.name}\n/rehearsal`), clock.now);
        return (await told(page, Kind.opened)).number;
    };
    for (const length of [10, 900]) {
        const here = await open();
        const there = (await told(node, Kind.accepted)).number;
        order(page, 0, here, new Uint8Array(length));
        assert.equal((await told(node, Kind.message, there)).bytes.length, length);
        order(node, 0, there, new Uint8Array(length));
        await told(page, Kind.message, here);
        order(node, 0, there, new Uint8Array(length));
        node.run('stream_finish', there, clock.now);
        page.events = [];
        await told(page, Kind.streamFinished, here);
        order(page, 1, here);
        await told(node, Kind.streamFinished, there);
    }
    // Either resets a stream; the other one's end of it is over.
    for (const [one, other] of [[page, node], [node, page]]) {
        const here = await open();
        const numbers = new Map([[page, here], [node, (await told(node, Kind.accepted)).number]]);
        order(page, 0, here, new Uint8Array(10));
        await told(node, Kind.message, numbers.get(node));
        other.events = [];
        order(one, 2, numbers.get(one));
        await told(other, Kind.streamReset, numbers.get(other));
    }
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
    bring(node, '/rehearsal', 1000, true);
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

await connect(first);
same(await page.read([root, 'a', 'note.txt']), note);
same(await page.read([root, 'a']), note);
same(await page.read([root, 'a'], { isListing: true }), Buffer.from('dust/index.html/note.txt/'));
same(await page.read([root, 'a', 'dust']), dust);
same(await page.read([filmCID]), film);
same(await page.read([filmCID], { from: 1000, to: 2_999_999 }), film.subarray(1000, 3_000_000));
same(await page.read([filmCID], { from: -500 }), film.subarray(-500));
same(await page.read([text(page.keep(0x55, Buffer.from('kept')))]), Buffer.from('kept'));
for (const what of [0, 1, 2, 3]) page.run('count', what);
// Some leave in the middle, and others as soon as they know how much it is.
for (const [number, kind] of [[2000, Kind.bytes], [2001, Kind.found]]) {
    const content = Buffer.from(film).fill(number, 1 << 20);
    const cid = [first, second].map((node) => node.put(content))[0];
    page.ask('read', number, encoder.encode(cid), NaN, NaN, 0, 30_000, clock.now);
    await goOn(() => page.events.some((event) => event.kind === kind && event.subject === number));
    page.run('cancel', number, clock.now);
    await quiet();
}
// The node takes its time.
const late = page.read([gallery, names[59]]);
clock.now += 5000;
page.run('advance', clock.now);
same(await late, pictures[59]);
// The connection breaks in the middle, and the node is there again.
const long = Buffer.from(film).fill(2002, 1 << 20);
first.put(long);
const broken = page.read([second.put(long)]);
await goOn(() => page.events.some(({ kind }) => kind === Kind.bytes));
lose();
await connect(first);
same(await broken, long);
lose();

// A page asks for its pictures all at once, before a node is there; the site is quicker with some.
const numbers = names.map((_, number) => 4000 + number);
page.run('dialling', 1, clock.now);
for (const [number, name] of names.entries()) {
    page.ask('read', numbers[number], encoder.encode(`${gallery}\0${name}`), NaN, NaN, 0, 30_000, clock.now);
}
for (const number of numbers.splice(0, 20)) page.run('cancel', number, clock.now);
await connect(first);
for (const number of numbers.splice(0, 10)) page.run('cancel', number, clock.now);
const came = (number, wanted) => page.events.filter(({ kind, subject }) => (
    kind === wanted && subject === number));
await goOn(() => numbers.every((number) => came(number, Kind.finished).length > 0));
for (const number of numbers) {
    const bytes = Buffer.concat(came(number, Kind.bytes).map(({ bytes }) => bytes));
    assert.ok(bytes.equals(pictures[number - 4000]), `picture ${number}`);
}

// So much a page does that reads what is there from one node. The rest is less frequent.
if (reads !== undefined) page.writeProfile(reads);

lose();
await connect(first);
assert.equal((await page.read([filmCID], { from: 1e9 })).failed.number, 5);
assert.equal((await page.read([root, 'a', 'nothing'])).failed.number, 1);
assert.equal((await page.read([root])).failed.number, 2);
assert.throws(() => page.ask('read', 1000, encoder.encode('b'), NaN, NaN, 0, 1000, clock.now));

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
same(await page.read([first.put(big)]), big);
[page.hashes, page.hasRoom] = [false, false];
const reading = page.read([first.put(bigger)]);
await goOn(() => page.events.some(({ kind }) => kind === Kind.bytes));
lose();
same(await reading, bigger);
page.run('close', channel - 1, clock.now);

// The page asks for calls: of who is connected already, and of who comes; and it may run some itself, whose
// answers it keeps.
const answer = Buffer.from('answer');
const answerCID = Buffer.concat([Buffer.from([1, 0x55, 0x12, 0x20]), sha256(answer)]);
page.ask('keep', answerCID, answer);
same(await page.read([text(answerCID)]), answer);
bring(second, IDENTIFY, 8192, true);
await connect(second);
page.events = [];
bring(page, '/rehearsal', 1000, false);
for (const isNew of [false, true]) {
    if (isNew) {
        lose();
        await told(page, Kind.left);
        page.run('stream_open', 1, encoder.encode(`${second.name}\n/rehearsal`), clock.now);
        await told(page, Kind.refused);
        page.events = [];
        await connect(second);
    }
    await converse(second);
    same(await page.read([root, 'a', 'note.txt']), note);
}
lose();

// What a node sends is changed on its way.
await connect(second);
second.isGarbled = true;
page.events = [];
page.ask('read', 3000, encoder.encode(absent), NaN, NaN, 0, 30_000, clock.now);
await goOn(() => page.events.some(({ kind }) => kind === Kind.ended));

if (profile !== undefined) page.writeProfile(profile);
