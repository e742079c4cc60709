// Asks the service worker's rules which of the site and the mesh is asked (worker/pace.ts), and what becomes of
// an answer that both have begun (worker/relief.ts).

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

const load = async (name) => {
    const source = new URL(`worker/${name}.ts`, import.meta.url).pathname;
    const script = execFileSync('esbuild', [source, '--bundle', '--format=esm']);
    return import(`data:text/javascript;base64,${script.toString('base64')}`);
};
const [{ Pace }, { relieved }, { restOf }] = [await load('pace'), await load('relief'), await load('rest')];

// A clock that goes on when it is told to.
let time = 0;
let timers = [];
const { now } = performance;
const { setTimeout, clearTimeout } = globalThis;
performance.now = () => time;
globalThis.setTimeout = (go, after) => {
    const timer = { go, at: time + after };
    timers.push(timer);
    return timer;
};
globalThis.clearTimeout = (timer) => { timers = timers.filter((other) => other !== timer); };
const pass = (milliseconds) => {
    time += milliseconds;
    for (const timer of timers.filter(({ at }) => at <= time)) {
        globalThis.clearTimeout(timer);
        timer.go();
    }
};

// A mesh that answers more often than the site is asked alone, until it pauses.
{
    const pace = new Pace(() => 44);
    pace.begin();
    pass(80);
    for (let count = 0; count < 6; count += 1) pace.siteAnswered();
    for (let count = 0; count < 2; count += 1) {
        assert.equal(pace.isMeshAhead, false);
        pass(6);
        pace.meshAnswered();
    }
    assert.equal(pace.isMeshAhead, true);
    pass(40);
    pace.meshAnswered();
    pass(40);
    assert.equal(pace.isMeshAhead, true);
    const over = new AbortController();
    const changed = pace.change(over.signal).then(() => pace.isMeshAhead);
    pass(4);
    assert.equal(await changed, false);
    // It is given one more chance, and no third one while the same is under way.
    for (const isMeshAhead of [true, false]) {
        for (let count = 0; count < 2; count += 1, pass(1)) pace.meshAnswered();
        assert.equal(pace.isMeshAhead, isMeshAhead);
        pass(44);
        assert.equal(pace.isMeshAhead, false);
    }
    pace.end();
    pace.begin();
    pace.lead();
    assert.equal(pace.isMeshAhead, true);
}

// One that answers less often than the site never is.
{
    const pace = new Pace(() => 44);
    pace.begin();
    for (let count = 0; count < 40; count += 1) {
        pass(10);
        pace.siteAnswered();
        if (count % 2 === 0) pace.meshAnswered();
        assert.equal(pace.isMeshAhead, false);
    }
    // Nobody hears of a change who does not wait any more.
    const over = new AbortController();
    let hasHeard = false;
    pace.change(over.signal).then(() => { hasHeard = true; });
    over.abort();
    pace.lead();
    await Promise.resolve();
    assert.equal(hasHeard, false);
}

performance.now = now;
Object.assign(globalThis, { setTimeout, clearTimeout });

const bytes = (...parts) => new TextEncoder().encode(parts.join(''));

/** An answer of the site that is told what to send. */
function answer(length, headers = {}) {
    let controller;
    const body = new ReadableStream({ start: (started) => { controller = started; } });
    return { response: new Response(body, { headers: { 'content-length': length, ...headers } }), controller };
}

/** What becomes of an answer of the site, of which the mesh says `mesh` when half of it has come. */
async function read(mesh, { headers, breaksOff = false } = {}) {
    let say;
    let over;
    const site = answer(8, headers);
    const relief = relieved(
        site.response, new Promise((resolve, reject) => { say = { resolve, reject }; }),
        (...what) => { over = what; });
    const reader = relief.body.getReader();
    site.controller.enqueue(bytes('site'));
    let text = new TextDecoder().decode((await reader.read()).value);
    const rest = (async () => {
        for (;;) {
            const { done, value } = await reader.read();
            if (done) return text;
            text += new TextDecoder().decode(value);
        }
    })();
    rest.catch(() => {});
    if (mesh === undefined) say.reject(new TypeError('nobody has it'));
    else say.resolve(new Response(mesh));
    if (mesh !== 'siteMESH') {
        if (breaksOff) site.controller.error(new TypeError('the line broke'));
        else {
            site.controller.enqueue(bytes('SITE'));
            site.controller.close();
        }
    }
    return { text: await rest, over };
}

assert.deepEqual(await read('siteMESH'), { text: 'siteMESH', over: [4, true] });
// What begins otherwise, or has another length, or does not come, changes nothing.
assert.deepEqual(await read('otherone'), { text: 'siteSITE', over: [8, false] });
assert.deepEqual(await read('site'), { text: 'siteSITE', over: [8, false] });
assert.deepEqual(await read(undefined), { text: 'siteSITE', over: [8, false] });
// What is packed has another length than it says, and what is long is not held.
for (const headers of [{ 'content-encoding': 'gzip' }, { 'content-length': `${2 << 20}` }]) {
    const { response } = answer(8, headers);
    assert.equal(relieved(response, Promise.reject(new Error('no')).catch(() => {}), () => {}), response);
}
// A line to the site that breaks is no harm if the mesh has it, and else one.
await assert.rejects(read(undefined, { breaksOff: true }), /the line broke/);
{
    let say;
    const site = answer(8);
    const relief = relieved(site.response, new Promise((resolve) => { say = resolve; }), () => {});
    site.controller.error(new TypeError('the line broke'));
    const text = relief.text();
    say(new Response('allofit!'));
    assert.equal(await text, 'allofit!');
}

/** What the site brings after the mesh has brought `given` of `length` bytes. */
async function rest(given, length, answer) {
    const { fetch } = globalThis;
    globalThis.fetch = async () => answer;
    try {
        const head = new Headers({ 'content-length': `${length}` });
        const reader = await restOf('https://site.example/ipfs/a', head, given, new AbortController().signal);
        let text = '';
        for (;;) {
            const { done, value } = await reader.read();
            if (done) return text;
            text += new TextDecoder().decode(value);
        }
    } finally {
        globalThis.fetch = fetch;
    }
}

const part = (text) => new Response(text, { status: 206, headers: { 'content-range': 'bytes 4-7/8' } });
assert.equal(await rest(4, 8, part('SITE')), 'SITE');
assert.equal(await rest(4, 8, new Response('siteSITE')), 'SITE');
// What ends short, or is something else altogether, must not look whole.
await assert.rejects(rest(4, 8, part('SI')), /6 bytes came of 8/);
await assert.rejects(rest(4, 8, new Response('no')), /4 bytes came of 8/);
await assert.rejects(rest(4, 8, new Response('', { status: 404 })), /the site answers 404/);

console.log('the site and the mesh: 2 paces, 13 answers');
