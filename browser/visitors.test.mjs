// Asks what another page may have this one's browser do (src/visitors.ts), with an RTCPeerConnection that writes
// down what it is told.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

const source = new URL('src/visitors.ts', import.meta.url).pathname;
const script = execFileSync('esbuild', [source, '--bundle', '--format=esm']);

const heard = [];
globalThis.RTCPeerConnection = class {
    localDescription = { sdp: 'answer' };
    setLocalDescription = async () => {};
    setRemoteDescription = async ({ sdp }) => { heard.push(...sdp.split('\r\n')); };
    addIceCandidate = async ({ candidate }) => { heard.push(candidate); };
};
const { Visitors } = await import(`data:text/javascript;base64,${script.toString('base64')}`);

const [OFFER, ANSWER, CANDIDATE, FAILED] = [0, 1, 2, 4];
const said = [];
let connection;
const visitors = new Visitors({
    say: (_, step, bytes) => { said.push([step, new TextDecoder().decode(bytes)]); },
    adopt: (adopted) => {
        connection = adopted;
        return { association: { watch() {}, close() {} }, made() {} };
    },
});
let calls = 0;
const take = (step, text) => visitors.take(calls, step, new TextEncoder().encode(text), []);
const trickle = (candidate) => take(CANDIDATE, JSON.stringify({ candidate, sdpMid: '0' }));
const settle = () => new Promise((resolve) => setTimeout(resolve));

const MEDIA = 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel';
const GOOD = [
    'candidate:1 1 udp 2113937151 192.0.2.1 9100 typ host generation 0 ufrag abcd network-cost 999',
    'candidate:2 1 UDP 2122252543 2001:db8::1 9100 typ host',
    'candidate:3 1 udp 1677729535 203.0.113.5 9100 typ srflx raddr 0.0.0.0 rport 0',
    'candidate:4 1 udp 2113937151 3f2a-77.local 9100 typ host',
];
const BAD = [
    // Whatever listens for TCP in the visitor's networks would be connected with.
    'candidate:9 1 tcp 1518280447 127.0.0.1 9100 typ host tcptype passive',
    'candidate:9 1 TCP 1518280447 192.0.2.1 9100 typ host tcptype so',
    'candidate:9 1 ssltcp 1518280447 192.0.2.1 443 typ host',
    // The name would be looked up.
    'candidate:9 1 udp 2113937151 visitor7.evil.example 9100 typ host',
    // Read otherwise by browsers than here.
    'candidate:9\t1\ttcp 1 udp 1 192.0.2.1 9100 typ host',
    'candidate:9 1 udp 1 192.0.2.1 9100 typ host\r\na=candidate:9 1 tcp 1 192.0.2.1 9100 typ host',
    'candidate:9 1  tcp 1 192.0.2.1 9100 typ host', '', undefined, 7,
];

// What is described, and what comes later: the browser hears of what is allowed, and of that alone.
calls += 1;
const described = [...GOOD, ...BAD.slice(0, 5)].map((way) => `a=${way}`);
take(OFFER, ['v=0', MEDIA, ...described, 'a=mid:0', ''].join('\n'));
for (const way of [...GOOD, ...BAD]) trickle(way);
await settle();
assert.deepEqual(heard, ['v=0', MEDIA, ...GOOD.map((way) => `a=${way}`), 'a=mid:0', '', ...GOOD]);
assert.deepEqual(said, [[ANSWER, 'answer']]);

// The other page is told no others either.
said.length = 0;
for (const candidate of [...GOOD, ...BAD]) connection.onicecandidate({ candidate: { candidate } });
connection.onicecandidate({ candidate: null });
assert.deepEqual(said, GOOD.map((candidate) => [CANDIDATE, JSON.stringify({ candidate })]));

// Sound and pictures, and more ways than a description may name.
for (const lines of [['m=audio 9 UDP/TLS/RTP/SAVPF 0'], [MEDIA, MEDIA], [MEDIA, ...Array(33).fill(`a=${GOOD[0]}`)]]) {
    calls += 1;
    heard.length = said.length = 0;
    take(OFFER, lines.join('\r\n'));
    await settle();
    assert.deepEqual(heard, []);
    assert.deepEqual(said, [[FAILED, '']]);
}
console.log(`visitors: ${BAD.length} ways refused`);
process.exit();
