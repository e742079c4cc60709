// Asks the service worker (worker/weft-sw.ts), in a world whose clock goes on when it is told to, what it does when
// a mesh dies or pauses in the middle of an answer, when nobody wants any more what the site was asked for, and when
// neither the site nor the mesh has it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

const source = new URL('worker/weft-sw.ts', import.meta.url).pathname;
const script = execFileSync('esbuild', [source, '--bundle', '--format=esm', '--log-level=error']);

// The clock. What is not timed takes no time in it.
let time = 0;
let timers = [];
const { setTimeout: realTimeout } = globalThis;
performance.now = () => time;
globalThis.setTimeout = (go, after = 0) => {
    const timer = { go, at: time + after };
    timers.push(timer);
    return timer;
};
globalThis.clearTimeout = (timer) => { timers = timers.filter((other) => other !== timer); };

/** Lets what is said be heard. */
const hear = async () => {
    for (let round = 0; round < 30; round += 1) await new Promise((resolve) => realTimeout(resolve));
};

/** Time passes, a millisecond after the other, until something is so. */
async function until(isSo, most = 60_000) {
    const end = time + most;
    for (;;) {
        await hear();
        if (isSo() || time >= end) return;
        const due = Math.min(end, ...timers.map(({ at }) => Math.max(at, time + 1)));
        time = due;
        for (const timer of timers.filter(({ at }) => at <= time)) {
            globalThis.clearTimeout(timer);
            timer.go();
        }
    }
}

// The site, which takes as long as it takes, behind a cache that has one request for each URL at a time, and the page,
// whose mesh does what it is told to.
const asked = [];
const SITE_TIME = 40;
const hanging = new Map();
let isHanging = false;
let siteStatus = 200;
/** Whether the site has nothing for who asks for the rest of something. */
let isWithout = false;
globalThis.fetch = (request, init) => {
    const url = request.url ?? request;
    const entry = { url, at: time, range: init?.headers?.range, isAborted: false };
    asked.push(entry);
    return new Promise((resolve, reject) => {
        init?.signal?.addEventListener('abort', () => {
            entry.isAborted = true;
            reject(new DOMException('aborted', 'AbortError'));
            if (hanging.get(url) !== entry) return;
            hanging.delete(url);
            for (const go of entry.locked) go();
        });
        const answer = () => setTimeout(() => {
            const range = /^bytes=(\d+)-/.exec(init?.headers?.range ?? '');
            const text = 'from the site'.slice(Number(range?.[1] ?? 0));
            const headers = range === null ? {} : { 'content-range': `bytes ${range[1]}-12/13` };
            const status = range === null ? siteStatus : isWithout ? 404 : 206;
            const response = new Response(text, { status, headers });
            resolve(response);
        }, SITE_TIME);
        const holder = hanging.get(url);
        if (isHanging) hanging.set(url, Object.assign(entry, { locked: [] }));
        else if (holder !== undefined && init?.cache !== 'reload') holder.locked.push(answer);
        else answer();
    });
};
let mesh = () => {};
/** The pages that are open besides, and do not run Weft. */
let silent = [];
const page = {
    id: 'page',
    postMessage: (message, [port] = []) => {
        if (port === undefined) return;  // how much the site has brought
        port.postMessage({ kind: 'taken', isConnected: true });
        mesh(port);
    },
};
const handlers = {};
globalThis.self = {
    location: { origin: 'https://site.example' },
    addEventListener: (name, handler) => { handlers[name] = handler; },
    clients: { matchAll: async () => [...silent, page], get: async (id) => (id === 'page' ? page : undefined) },
};
await import(`data:text/javascript;base64,${script.toString('base64')}`);

/** What the worker answers, and when. */
function get(name, clientId = 'page') {
    const outcome = { began: time };
    const request = {
        url: `https://site.example/ipfs/${name}`, method: 'GET', headers: new Headers(), mode: 'no-cors',
        destination: 'image', credentials: 'same-origin', cache: 'default', signal: new AbortController().signal,
    };
    handlers.fetch({
        request, clientId, respondWith: (answer) => {
            answer.then((response) => Object.assign(outcome, { response, at: time }));
        },
    });
    return outcome;
}

const isOver = (outcome) => outcome.response !== undefined;
const content = (pieces, isWhole = true) => (port) => {
    const left = pieces.map((text) => new TextEncoder().encode(text));
    const length = isWhole ? pieces.join('').length : 13;
    port.postMessage({ kind: 'head', status: 200, headers: [['content-length', `${length}`]] });
    port.onmessage = ({ data }) => {
        if (data !== 'more') return;
        const bytes = left.shift();
        if (bytes !== undefined) port.postMessage({ kind: 'piece', bytes });
        else if (isWhole) port.postMessage({ kind: 'end' });
    };
};

/** Lets the mesh win, so that it is asked before the site. */
async function trust() {
    mesh = content(['from the mesh']);
    for (let count = 0; count < 2; count += 1) {
        const outcome = get(`quick${count}`);
        await until(() => isOver(outcome));
        assert.equal(await outcome.response.text(), 'from the mesh');
    }
}

// One that is quick the site is not asked for.
await trust();
const before = asked.length;
const quick = get('quick');
await until(() => isOver(quick));
assert.equal(asked.length, before);

// One that dies in the middle of an answer: the site brings the rest, unless the mesh goes on before.
mesh = content(['from ', 'the '], false);
const broken = get('broken');
await until(() => isOver(broken));
let text;
const begun = time;
broken.response.text().then((all) => { text = all; });
await until(() => text !== undefined);
assert.equal(text, 'from the site');
assert.ok(time - begun <= 1000 + SITE_TIME, `${time - begun} ms`);
assert.equal(asked.at(-1).range, 'bytes=9-12');

// A slow one whose content the site does not have: the site is asked for the rest once, and not at each pause.
await trust();
mesh = (port) => {
    const left = ['from ', 'the ', 'mesh'].map((part) => new TextEncoder().encode(part));
    port.postMessage({ kind: 'head', status: 200, headers: [['content-length', '13']] });
    let demanded = 0;
    const give = () => {
        const bytes = left.shift();
        if (bytes === undefined) return port.postMessage({ kind: 'end' });
        port.postMessage({ kind: 'piece', bytes });
        return setTimeout(give, 3000);
    };
    port.onmessage = () => {
        demanded += 1;
        if (demanded === 1) setTimeout(give, 3000);
    };
};
isWithout = true;
const pausing = get('pausing');
await until(() => isOver(pausing));
const sincePause = asked.length;
let restText;
pausing.response.text().then((all) => { restText = all; });
await until(() => restText !== undefined);
isWithout = false;
assert.equal(restText, 'from the mesh');
assert.equal(asked.length - sincePause, 1);

// What comes of the mesh acts for nobody, whatever it is.
await trust();
mesh = content(['<svg/>']);
const drawing = get('drawing');
await until(() => isOver(drawing));
assert.equal(drawing.response.headers.get('content-security-policy'), 'sandbox');
assert.equal(drawing.response.headers.get('x-content-type-options'), 'nosniff');

// Asked by a page that is gone, the site is asked for nothing any more, and holds up nobody who asks for the same.
mesh = (port) => port.postMessage({ kind: 'failed', fault: { name: 'TypeError', message: 'nobody has it' } });
/** Asks the site, which hangs at first. */
async function askHanging(name, client) {
    isHanging = true;
    const outcome = get(name, client);
    await until(() => false, 300);
    isHanging = false;
    return { outcome, entry: asked.at(-1) };
}
const left = await askHanging('left', 'a page before');
const again = get('left');
await until(() => isOver(again));
assert.equal(again.at - again.began, SITE_TIME);
assert.equal(left.entry.isAborted, true);

// Whether a page that is still there wants it the worker does not know: the next one waits a second at the most.
const slow = await askHanging('slow', 'page');
const beside = get('slow');
await until(() => isOver(beside));
assert.equal(await beside.response.text(), 'from the site');
assert.equal(beside.at - slow.outcome.began, 1000 + SITE_TIME);
assert.equal(slow.entry.isAborted, false);

// What the site does not have is waited for two seconds of a mesh that says nothing.
siteStatus = 404;
mesh = () => {};
const absent = get('absent');
await until(() => isOver(absent));
assert.equal(absent.response.status, 404);
assert.equal(absent.at - absent.began, SITE_TIME + 2000);

// Pages that do not run Weft hold up neither what the mesh has nor what nobody has, however many they are.
silent = Array.from({ length: 7 }, (_, number) => ({ id: `silent ${number}`, postMessage() {} }));
mesh = content(['from the mesh']);
const last = get('last', 'silent 0');
await until(() => isOver(last));
assert.equal(await last.response.text(), 'from the mesh');
assert.ok(last.at - last.began <= 500, `${last.at - last.began} ms`);
mesh = (port) => port.postMessage({ kind: 'failed', fault: { name: 'TypeError', message: 'nobody has it' } });
const nowhere = get('nowhere', 'silent 0');
await until(() => isOver(nowhere));
assert.equal(nowhere.response.status, 404);
assert.ok(nowhere.at - nowhere.began <= 1500, `${nowhere.at - nowhere.began} ms`);

console.log('the service worker: 8 answers');
process.exit();
