// The identity of a call, and the record of what came of it: canonical dag-cbor, as Core's `Call` and
// `CallRecord` write it.

const encoder = new TextEncoder();
/** Longer bodies are named by their CID. */
const maxInlineBytes = 32 << 10;
/** Longer files are cut into blocks of this size, which a node of up to so many links names. */
const maxBlockBytes = 1 << 20;
const maxLinks = 1_024;
/** The version of the rules, prices and limits. */
const rules = 1;

/** A number as so many bytes, the least significant first. */
export function littleEndian(number, count) {
    return Uint8Array.from({ length: count }, (_, index) => Number(number >> BigInt(8 * index) & 255n));
}

/** The bytes of a call's CID. */
export function callIdentity(sha256, call) { return identity(sha256, callBlock(sha256, call)); }

/** The bytes of the CID of a block of dag-cbor. */
export function identity(sha256, block) {
    return Uint8Array.from([1, 0x71, 0x12, 0x20, ...sha256(block)]);
}

/** The record of an activation, as a block of dag-cbor. */
export function recordBlock(sha256, activation, answer) {
    const { call, reads, children, calleeGas } = activation;
    const { outcome, gas } = answer;
    const output = outcome === 0 && [
        head(5, 3),
        text('body'), body(sha256, inMemory(answer.body)),
        text('status'), head(0, answer.status),
        text('headers'), pairs(answer.headers),
    ];
    return Uint8Array.from(flat([
        head(5, 7),
        text('gas'), head(0, gas),
        text('own'), head(0, gas - calleeGas),
        text('call'), callBlock(sha256, call),
        text('reads'), head(4, reads.size), ...[...reads].map((cid) => link(cidBytes(cid))),
        text('output'), output || 0xf6,
        // Records know no `resource`, which outcomes count before `trap`.
        text('outcome'), head(0, Math.min(outcome, 3)),
        text('children'), head(4, children.length), ...children.map(link),
    ]));
}

function inMemory(bytes) {
    return { size: bytes.length, read: (offset, count) => bytes.subarray(offset, offset + count) };
}

/** A call, as a block of dag-cbor. */
function callBlock(sha256, call) {
    return Uint8Array.from(flat([
        head(5, 8),
        text('gas'), head(0, call.gas),
        text('body'), body(sha256, call.body),
        text('path'), text(call.path),
        text('query'), text(call.query),
        text('rules'), head(0, rules),
        text('method'), text(call.method),
        text('headers'), pairs([...call.headers]),
        text('contract'), link(cidBytes(call.contract)),
    ]));
}

/** Names and values. */
function pairs(headers) {
    const items = headers.map(([name, value]) => [head(4, 2), text(name), text(value)]);
    return [head(4, items.length), ...items];
}

/** Whether a text has the form of a CID: of version 1 in base32 or base36, or of version 0. */
export function isCID(text) {
    return /^(b[a-z2-7]{34,}|k[0-9a-z]{34,}|Qm[1-9A-HJ-NP-Za-km-z]{44})$/.test(text);
}

/** The bytes of a CID of version 1 in base32. */
export function cidBytes(cid) {
    const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
    const out = [];
    let [bits, count] = [0, 0];
    for (const letter of cid.slice(1)) {
        bits = (bits << 5 | alphabet.indexOf(letter)) & 0xfff;
        count += 5;
        if (count >= 8) {
            count -= 8;
            out.push(bits >> count & 255);
        }
    }
    return Uint8Array.from(out);
}

/** The bytes themselves, or the CID of a file: what has one already keeps it. */
function body(sha256, content) {
    if (content.cid !== undefined) return link(cidBytes(content.cid));
    if (content.size > maxInlineBytes) return link(fileCID(sha256, content));
    const bytes = content.read(0, content.size);
    return [head(2, bytes.length), bytes];
}

/** The bytes of the CID of a file, as the profile `unixfs-v1-2025` makes it. */
function fileCID(sha256, content) {
    const hashed = (codec, bytes) => Uint8Array.from([1, codec, 0x12, 0x20, ...sha256(bytes)]);
    if (content.size <= maxBlockBytes) return hashed(0x55, content.read(0, content.size));
    if (content.size > maxBlockBytes * maxLinks) throw new Error('a body of more than 1 GiB');
    const [links, sizes] = [[], []];
    for (let offset = 0; offset < content.size; offset += maxBlockBytes) {
        const bytes = content.read(offset, maxBlockBytes);
        // Hash, an empty name, and the size of what is below.
        links.push(field(2, [
            ...field(1, hashed(0x55, bytes)), ...field(2, []), 3 << 3, ...varint(bytes.length),
        ]));
        sizes.push([4 << 3, ...varint(bytes.length)]);
    }
    // Of UnixFS: a file, its size, and the sizes of its parts.
    const data = [1 << 3, 2, 3 << 3, ...varint(content.size), ...sizes.flat()];
    return hashed(0x70, Uint8Array.from([...links.flat(), ...field(1, data)]));
}

/** A field of protobuf that has bytes. */
function field(number, bytes) {
    return [number << 3 | 2, ...varint(bytes.length), ...bytes];
}

function varint(number) {
    return number < 128 ? [number] : [number % 128 + 128, ...varint(Math.floor(number / 128))];
}

/** The first bytes of an item of CBOR: its kind and its number. */
function head(kind, number) {
    const size = [24n, 1n << 8n, 1n << 16n, 1n << 32n].findIndex((limit) => BigInt(number) < limit);
    if (size === 0) return [kind << 5 | Number(number)];
    const count = size < 0 ? 8 : 1 << (size - 1);
    return [kind << 5 | 24 + Math.log2(count), ...littleEndian(BigInt(number), count).reverse()];
}

function text(value) {
    const bytes = encoder.encode(value);
    return [head(3, bytes.length), bytes];
}

/** A CID is a byte string with tag 42 that begins with a zero. */
function link(cid) {
    return [[0xd8, 42], head(2, cid.length + 1), [0], cid];
}

function flat(items) {
    return items.flatMap((item) => (typeof item === 'number' ? item : flat([...item])));
}
