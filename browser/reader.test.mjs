// Asks what reads for a page (src/reader.ts) what becomes of those who wait in turn.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

const source = new URL('src/reader.ts', import.meta.url).pathname;
const script = execFileSync(
    'esbuild', [source, '--bundle', '--format=esm', '--external:./weft-rest.js', '--log-level=error']);
const { Reader } = await import(`data:text/javascript;base64,${script.toString('base64')}`);

const MOST = 256;
/** That a reading has failed, as the module numbers it. */
const FAILED = 6;
const reader = new Reader({
    core: { ask: () => new Uint8Array(), run: () => 0 },
    turns: { settle: () => {} },
    channels: { someoneNear: async () => true, connected: [{}], outcomes: [] },
    storage: { opened: Promise.resolve(), count: 1 },
    gateways: undefined,
    patience: 50,
    now: () => performance.now(),
    checkIsRunning: () => {},
});
const read = () => reader.answer(new Request('ipfs://bafkqaaa/file.txt'));
const none = new Uint8Array();

// As many as are read at a time, of which nothing comes, as of bodies that nobody reads.
const begun = Array.from({ length: MOST }, read);
const late = read();
const error = await late.then(() => assert.fail('it was read'), (error) => error);
assert.equal(error.cause.code, 'deadline');
assert.match(error.message, /256 bodies are not read to their end/);

// One that ends lets the next begin, and whoever waits has time again.
const [next, last] = [read(), read()];
reader.take(FAILED, 1, 1, none);
const outcomes = await Promise.allSettled([begun[0], last]);
assert.equal(outcomes[0].value.status, 404);
assert.equal(outcomes[1].reason.cause.code, 'deadline');
// That one is being read, so that its own patience is the module's.
const isPending = await Promise.race([next, new Promise((resolve) => setTimeout(() => resolve('pending')))]);
assert.equal(isPending, 'pending');

console.log('reading in turn: 3 outcomes');
process.exit();
