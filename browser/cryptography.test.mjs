// Asks the cryptography of the page's module what the published vectors say, and what node's own says of
// messages of every length of interest. The module is the rehearsal's partner, which is linked with the same
// objects as a page's and answers such questions (Scripts/build-browser).

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { readFileSync } from 'node:fs';

const place = new URL('../Core/.build/browser/partner.wasm', import.meta.url);
const nothing = () => 0;
const { instance } = await WebAssembly.instantiate(readFileSync(place), {
    weft: new Proxy({}, { get: () => nothing }),
});
const wasm = instance.exports;
const view = (pointer, count) => new Uint8Array(wasm.memory.buffer, pointer, count);

const hex = (text) => Buffer.from(text.replace(/\s+/g, ''), 'hex');

/** Byte strings, each after its length; and back. */
const pack = (parts) => Buffer.concat(parts.flatMap((part) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(part.length);
    return [length, part];
}));
function unpack(bytes) {
    const parts = [];
    for (let at = 0; at < bytes.length;) {
        const end = at + 4 + bytes.readUInt32LE(at);
        parts.push(bytes.subarray(at + 4, end));
        at = end;
    }
    return parts;
}

/** Asks the module; throws what it refuses. */
function ask(what, ...parts) {
    const argument = pack(parts);
    const pointer = wasm.weft_allocate(argument.length);
    view(pointer, argument.length).set(argument);
    const reply = wasm.weft_cryptography(what, pointer, argument.length);
    wasm.weft_free(pointer);
    const [status, count] = new Uint32Array(view(reply, 8).slice().buffer);
    const answer = Buffer.from(view(reply + 8, count).slice());
    wasm.weft_free(reply);
    if (status !== 0) throw new Error(answer.toString());
    return answer;
}
const agree = (secret, point) => ask(0, secret, point);
const publicX25519 = (secret) => ask(1, secret);
const chacha20 = (key, nonce, block, text) => ask(2, key, nonce, Buffer.from([block]), text);
const poly1305 = (key, message) => ask(3, key, message);
const seal = (key, data, ...texts) => unpack(ask(4, key, data, ...texts));
const open = (key, data, ...sealed) => unpack(ask(5, key, data, ...sealed));
const isValid = (key, message, signature) => ask(6, key, message, signature)[0] === 1;
const sign = (seed, key, message) => ask(7, Buffer.concat([seed, key]), message);
const publicEd25519 = (seed) => ask(8, seed);

const same = (got, wanted, what) => assert.equal(got.toString('hex'), wanted.toString('hex'), what);

// Curve25519 (RFC 7748, 5.2 and 6.1).
same(agree(
    hex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4'),
    hex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c')),
hex('c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552'));
same(agree(
    hex('4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d'),
    hex('e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493')),
hex('95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957'));
let [scalar, point] = [hex('09'.padEnd(64, '0')), hex('09'.padEnd(64, '0'))];
for (let round = 1; round <= 1000; round += 1) {
    [scalar, point] = [agree(scalar, point), scalar];
    if (round === 1) {
        same(scalar, hex('422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079'));
    }
}
same(scalar, hex('684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51'));
const alice = hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a');
const bob = hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb');
same(publicX25519(alice), hex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'));
same(publicX25519(bob), hex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'));
same(agree(alice, publicX25519(bob)),
    hex('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'));
// Points that force a secret are refused (6.1).
for (const small of ['00', '01']) {
    assert.throws(() => agree(alice, hex(small.padEnd(64, '0'))), /refused/);
}

// Ed25519 (RFC 8032, 7.1): seed, public key, message, signature.
const signatures = [
    ['9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
        'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', '',
        'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155'
        + '5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b'],
    ['4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
        '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c', '72',
        '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da'
        + '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00'],
    ['c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
        'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025', 'af82',
        '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac'
        + '18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a'],
    // The message is SHA2-512 of "abc".
    ['833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42',
        'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf',
        crypto.createHash('sha512').update('abc').digest('hex'),
        'dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589'
        + '09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704'],
];
/** The order of the curve's base point: a signature whose second half is not below it is none. */
const order = 2n ** 252n + 27742317777372353535851937790883648493n;
for (const [seed, key, message, signature] of signatures.map((row) => row.map(hex))) {
    same(publicEd25519(seed), key);
    same(sign(seed, key, message), signature);
    assert.ok(isValid(key, message, signature));
    for (const place of [0, 31, 32, 63]) {
        const wrong = Buffer.from(signature);
        wrong[place] ^= 1;
        assert.ok(!isValid(key, message, wrong), `byte ${place}`);
    }
    assert.ok(!isValid(key, Buffer.concat([message, hex('00')]), signature));
    // The same signature with its second half written in another way (8.4).
    const half = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order;
    const other = Buffer.from(half.toString(16).padStart(64, '0'), 'hex').reverse();
    assert.ok(!isValid(key, message, Buffer.concat([signature.subarray(0, 32), other])));
}

// ChaCha20 and Poly1305 (RFC 8439, 2.4.2, 2.5.2, A.3).
const sun = Buffer.from('Ladies and Gentlemen of the class of \'99: If I could offer you only one tip for '
    + 'the future, sunscreen would be it.');
const counting = Buffer.from([...Array(32).keys()]);
same(chacha20(counting, hex('000000000000004a00000000'), 1, sun), hex(`
    6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0bf91b65c5524733ab8f593dabcd62b357
    1639d624e65152ab8f530c359f0861d807ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736
    5af90bbf74a35be6b40b8eedf2785e42874d`));
const tags = [
    ['85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b',
        Buffer.from('Cryptographic Forum Research Group').toString('hex'),
        'a8061dc1305136c6c22b8baf0c0127a9'],
    ['02'.padEnd(64, '0'), 'ff'.repeat(16), '03'],
    [`${'02'.padEnd(32, '0')}${'ff'.repeat(16)}`, '02'.padEnd(32, '0'), '03'],
    ['01'.padEnd(64, '0'), `${'ff'.repeat(16)}f0${'ff'.repeat(15)}${'11'.padEnd(32, '0')}`, '05'],
    ['01'.padEnd(64, '0'), `${'ff'.repeat(16)}fb${'fe'.repeat(15)}${'01'.repeat(16)}`, ''],
    ['02'.padEnd(64, '0'), `fd${'ff'.repeat(15)}`, `fa${'ff'.repeat(15)}`],
    ['0100000000000000040'.padEnd(64, '0'),
        'e33594d7505e43b900000000000000003394d7505e4379cd01'.padEnd(96, '0')
        + '01'.padEnd(32, '0'), '1400000000000000550'],
];
for (const [key, message, tag] of tags) {
    same(poly1305(hex(key), hex(message)), hex(tag.padEnd(32, '0')), message);
}

// The two together, and what goes through the vectors of the module's own ChaCha20, as node has them.
const key = crypto.randomBytes(32);
const texts = [...Array(700).keys(), 1023, 1024, 4095, 65_535, 65_536, 300_001]
    .map((length) => crypto.randomBytes(length));
const data = crypto.randomBytes(19);
const sealed = seal(key, data, ...texts);
for (const [number, text] of texts.entries()) {
    const nonce = Buffer.alloc(12);
    nonce.writeUInt32LE(number, 4);
    const cipher = crypto.createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
    cipher.setAAD(data, { plaintextLength: text.length });
    same(sealed[number], Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]),
        `${text.length} bytes`);
}
for (const [number, text] of open(key, data, ...sealed).entries()) same(text, texts[number]);
for (const change of [(bytes) => { bytes[0] ^= 1; }, (bytes) => { bytes[bytes.length - 1] ^= 128; }]) {
    const wrong = Buffer.from(sealed[0].length > 16 ? sealed[0] : seal(key, data, sun)[0]);
    change(wrong);
    assert.throws(() => open(key, data, wrong), /refused/);
}
assert.throws(() => open(key, Buffer.alloc(19), seal(key, data, sun)[0]), /refused/);

console.log(`The page's cryptography: ${signatures.length} signatures, ${tags.length} tags, `
    + `${texts.length} sealed messages.`);
