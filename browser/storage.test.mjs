// Asks the store of a page's blocks (worker/store.ts) what it keeps, over files in memory that can be
// full: what goes first, what survives, and what is done about wrong or missing bytes. Then the node's side
// (src/storage.ts) with a worker that says what it is told to.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto;  // Node before version 19

const load = async (name) => {
    const source = new URL(`${name}.ts`, import.meta.url).pathname;
    const script = execFileSync('esbuild', [source, '--bundle', '--format=esm']);
    return import(`data:text/javascript;base64,${script.toString('base64')}`);
};
const [{ Store }, { Space, PAGE }] = [await load('worker/store'), await load('worker/space')];

/** A disk with so many bytes. */
class Disk {
    files = new Map();
    room = Infinity;

    open = async (name) => {
        if (!this.files.has(name)) this.files.set(name, new Uint8Array());
        const get = () => this.files.get(name);
        return {
            getSize: () => get().length,
            read: (buffer, { at }) => {
                const part = get().subarray(at, at + buffer.length);
                buffer.set(part);
                return part.length;
            },
            write: (buffer, { at }) => {
                const end = at + buffer.length;
                if (end > get().length) {
                    const others = [...this.files.values()].reduce((sum, { length }) => sum + length, 0);
                    if (others - get().length + end > this.room) throw new Error('the quota is exceeded');
                    const longer = new Uint8Array(end);
                    longer.set(get());
                    this.files.set(name, longer);
                }
                get().set(buffer, at);
                return buffer.length;
            },
            truncate: (size) => this.files.set(name, get().slice(0, size)),
            flush: () => {},
            close: () => {},
        };
    };
}

const block = (number, length = 3 * PAGE) => {
    const bytes = new Uint8Array(length).fill(number);
    new DataView(bytes.buffer).setUint32(0, number);
    return { bytes, hash: `1220${createHash('sha256').update(bytes).digest('hex')}` };
};

/** A store over a disk, and the last that it said. */
async function open(disk, limit = 1 << 30) {
    const said = [];
    const store = await Store.open(disk.open, limit, (notice) => { said.push(notice); });
    return {
        store, said,
        keep: ({ hash, bytes }) => {
            store.keep(hash, bytes);
            return said.at(-1);
        },
        read: async ({ hash }) => {
            await store.load(1, hash);
            return said.at(-1).block;
        },
        end: () => store.close(),
    };
}

// Pages are never in two places at once, and are given again.
{
    const space = new Space();
    const taken = [];
    let seed = 1;
    const random = (count) => (seed = (seed * 48271) % 2147483647) % count;
    const used = new Set();
    for (let step = 0; step < 5000; step++) {
        if (taken.length > 40 || (taken.length > 0 && random(2) === 0)) {
            const [{ start, count }] = taken.splice(random(taken.length), 1);
            space.give(start, count);
            for (let page = start; page < start + count; page++) used.delete(page);
        } else {
            const count = 1 + random(9);
            const start = space.take(count);
            for (let page = start; page < start + count; page++) {
                assert(!used.has(page));
                used.add(page);
            }
            taken.push({ start, count });
        }
        assert.equal(space.used, used.size);
    }
    assert(Math.max(...used) < 1000);
    const again = new Space();
    for (const { start, count } of taken) assert(again.claim(start, count));
    for (const { start, count } of taken) assert(!again.claim(start, count));
    assert.equal(again.used, used.size);
    const free = new Set();
    for (let count = 0; count < 500; count++) {
        const page = again.take(1);
        assert(!used.has(page) && !free.has(page));
        free.add(page);
    }
}

// What is kept is there when it is opened again, also after many changes.
{
    const disk = new Disk();
    const blocks = Array.from({ length: 50 }, (_, number) => block(number, 1 + number * 999 + 4));
    let { store, keep, read, end } = await open(disk);
    for (const each of blocks) assert.equal(keep(each).added, each.hash);
    assert.equal(keep(blocks[0]).added, undefined);
    for (let round = 0; round < 40; round++) {
        for (const each of blocks) assert.deepEqual((await read(each)).bytes, each.bytes);
    }
    store.drop(blocks[7].hash);
    end();
    // 2,000 uses have been written, and the journal has not grown with them.
    assert(disk.files.get('index-0').length + disk.files.get('index-1').length < 96 * 1300);
    ({ store, read, keep, end } = await open(disk));
    assert.equal(store.blocks.length, 49);
    assert.equal(await read(blocks[7]), undefined);
    const { bytes, digest } = await read(blocks[9]);
    assert.deepEqual(bytes, blocks[9].bytes);
    assert.equal(`1220${Buffer.from(digest).toString('hex')}`, blocks[9].hash);
    end();
    // A journal that is cut off or spoiled costs what it told, and nothing else.
    for (const name of ['index-0', 'index-1']) {
        const file = disk.files.get(name);
        if (file.length > 0) disk.files.set(name, file.slice(0, 16 + 96 * 20 + 50));
    }
    ({ store, read, end } = await open(disk));
    assert.equal(store.blocks.length, 20);
    const hash = store.blocks[3];
    assert.deepEqual((await read({ hash })).bytes, blocks.find((each) => each.hash === hash).bytes);
    end();
    disk.files.set('blocks', new Uint8Array(PAGE));
    ({ store, end } = await open(disk));
    assert(store.blocks.length < 20);
    end();
}

// What was used more often stays, and what is new is kept.
{
    const disk = new Disk();
    const { store, keep, read } = await open(disk, 10 * 3 * PAGE);
    const blocks = Array.from({ length: 40 }, (_, number) => block(number));
    for (let number = 0; number < 40; number++) {
        assert.equal(keep(blocks[number]).added, blocks[number].hash);
        if (number > 2) for (const favourite of [0, 1, 2]) assert(await read(blocks[favourite]));
        assert(store.byteCount <= 10 * 3 * PAGE);
    }
    assert(store.blocks.includes(blocks[39].hash));
    assert.equal(store.blocks.length, 10);
    // One that is larger than all of it displaces nothing.
    assert.equal(keep(block(99, 11 * 3 * PAGE)).added, undefined);
    assert.equal(store.blocks.length, 10);
}

// A full disk keeps what is there, and goes on with that much.
{
    const disk = new Disk();
    disk.room = 100 * PAGE;
    const { store, keep, read } = await open(disk);
    const blocks = Array.from({ length: 60 }, (_, number) => block(number));
    const refused = blocks.filter((each) => keep(each).added === undefined);
    assert(refused.length > 0 && refused.length < 5, `${refused.length} of 60 were refused`);
    const kept = store.blocks;
    assert(kept.length > 25 && kept.includes(blocks[59].hash));
    for (const hash of kept) assert(await read({ hash }));
}

// What the worker has of blocks that nobody keeps goes: also of one that comes twice, or cannot be hashed.
{
    const { Storage } = await load('src/storage');
    const said = [];
    const timers = new Map();
    const [set, clear] = [globalThis.setTimeout, globalThis.clearTimeout];
    let worker;
    globalThis.Worker = class {
        constructor() { worker = this; }
        postMessage(command) { said.push(command); }
        terminate() { this.isOver = true; }
    };
    globalThis.setTimeout = (run, time) => { timers.set(timers.size + 1, { run, time }); return timers.size; };
    globalThis.clearTimeout = (timer) => { if (timers.has(timer)) timers.get(timer).run = undefined; };
    try {
        const storage = new Storage('weft-store.js', undefined, () => {});
        // The worker is started a little later.
        assert(worker === undefined);
        timers.get(1).run();
        const answer = (data) => worker.onmessage({ data });
        answer({ kind: 'opened', blocks: [], byteCount: 0 });
        const digests = [];
        const hash = (number) => storage.hash(number, block(1).bytes, (digest) => digests.push(digest));
        const digest = new Uint8Array(Buffer.from(block(1).hash.slice(4), 'hex'));
        for (const number of [1, 2, 3]) assert(hash(number));
        answer({ kind: 'hashed', number: 1, digest });
        answer({ kind: 'hashed', number: 2, digest });
        answer({ kind: 'hashed', number: 3, digest: new Uint8Array() });
        assert.deepEqual(
            said.filter(({ kind }) => kind === 'forget').map(({ number }) => number), [2, 3]);
        storage.keep(new Uint8Array(Buffer.from(block(1).hash, 'hex')), block(1).bytes);
        assert.equal(said.at(-1).block, 1);
        // Memory counts, not what lies in it: 32 pieces, and the first of more goes.
        said.length = 0;
        for (let number = 10; number < 43; number++) {
            const other = block(number);
            storage.hash(number, other.bytes, () => {});
            const digest = new Uint8Array(Buffer.from(other.hash.slice(4), 'hex'));
            answer({ kind: 'hashed', number, digest });
        }
        assert.deepEqual(said.filter(({ kind }) => kind === 'forget').map(({ number }) => number), [10]);
        // A worker that is silent is waited for only so long. What a page sleeps through counts once, and
        // then what has come meanwhile is heard.
        const pass = () => {
            const [timer, { run }] = [...timers].findLast(([, { run, time }]) => run && time === 1000);
            timers.get(timer).run = undefined;
            run();
        };
        assert(hash(49));
        for (let time = 1; time < 5; time++) pass();
        answer({ kind: 'hashed', number: 49, digest: new Uint8Array() });
        digests.pop();
        assert(hash(50));
        for (let time = 1; time < 5; time++) pass();
        assert(!worker.isOver && storage.fault === undefined);
        pass();
        assert(worker.isOver && digests.length === 4 && digests[3].length === 0);
        assert.match(storage.fault, /does not answer/);
        assert(!hash(51) && storage.count === 0);
    } finally {
        [globalThis.setTimeout, globalThis.clearTimeout] = [set, clear];
    }
}

// What is added comes in bytes: other pieces would become zeros.
{
    const { put } = await load('src/putting');
    const calls = [];
    const core = { ask: (name) => { calls.push(name); return new Uint8Array(); }, run: (name) => calls.push(name) };
    const stream = (...pieces) => new ReadableStream({
        start: (controller) => { for (const piece of pieces) controller.enqueue(piece); controller.close(); },
    });
    const add = (...pieces) => put(core, 1, stream(...pieces), () => 0, () => {});
    await assert.rejects(add(new Uint8Array(1), 'text'), /Uint8Array/);
    assert.deepEqual(calls.splice(0), ['put', 'put_cancel']);
    await add(new Uint8Array(1));
    assert.deepEqual(calls, ['put', 'put', 'put_end']);
}

console.log('what a page keeps on disk: answers as expected');
