// Checks Ed25519 signatures (RFC 8032) of messages of any length, which are read piece by piece:
// POST /verify?key=HEX&signature=HEX with the message as the body answers "valid" or "invalid".
//
// The arithmetic is that of TweetNaCl (tweetnacl.cr.yp.to, public domain): a number modulo 2^255 - 19
// is sixteen limbs of 16 bits. Unlike TweetNaCl it takes no signature whose second half is not
// reduced, which RFC 8032 demands.

#include "weft.h"

typedef int64_t number[16];

// MARK: - SHA-512 (FIPS 180-4)

static const uint64_t round_constants[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

typedef struct {
    uint64_t state[8];
    uint8_t block[128];
    uint64_t length;
} sha512;

static void sha512_begin(sha512 *hash) {
    static const uint64_t initial[8] = {
        0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
        0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
    };
    for (int i = 0; i < 8; i++) hash->state[i] = initial[i];
    hash->length = 0;
}

static uint64_t rotated(uint64_t word, int count) { return word >> count | word << (64 - count); }

static void sha512_mix(sha512 *hash) {
    uint64_t words[80], s[8];
    for (int i = 0; i < 16; i++) {
        words[i] = 0;
        for (int j = 0; j < 8; j++) words[i] = words[i] << 8 | hash->block[8 * i + j];
    }
    for (int i = 16; i < 80; i++) {
        uint64_t a = words[i - 15], b = words[i - 2];
        words[i] = words[i - 16] + words[i - 7]
            + (rotated(a, 1) ^ rotated(a, 8) ^ a >> 7) + (rotated(b, 19) ^ rotated(b, 61) ^ b >> 6);
    }
    for (int i = 0; i < 8; i++) s[i] = hash->state[i];
    for (int i = 0; i < 80; i++) {
        uint64_t t = s[7] + (rotated(s[4], 14) ^ rotated(s[4], 18) ^ rotated(s[4], 41))
            + ((s[4] & s[5]) ^ (~s[4] & s[6])) + round_constants[i] + words[i];
        uint64_t u = (rotated(s[0], 28) ^ rotated(s[0], 34) ^ rotated(s[0], 39))
            + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (int j = 7; j > 0; j--) s[j] = s[j - 1];
        s[4] += t;
        s[0] = t + u;
    }
    for (int i = 0; i < 8; i++) hash->state[i] += s[i];
}

static void sha512_add(sha512 *hash, const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        hash->block[hash->length++ % 128] = bytes[i];
        if (hash->length % 128 == 0) sha512_mix(hash);
    }
}

static void sha512_end(sha512 *hash, uint8_t digest[64]) {
    uint64_t bits = hash->length * 8;
    sha512_add(hash, (const uint8_t[]){0x80}, 1);
    while (hash->length % 128 != 120) sha512_add(hash, (const uint8_t[]){0}, 1);
    for (int i = 7; i >= 0; i--) sha512_add(hash, (const uint8_t[]){(uint8_t)(bits >> 8 * i)}, 1);
    for (int i = 0; i < 64; i++) digest[i] = (uint8_t)(hash->state[i / 8] >> (56 - 8 * (i % 8)));
}

// MARK: - Numbers modulo 2^255 - 19

static const number zero, one = {1},
    // The constant d of the curve, and twice it.
    d = {0x78a3, 0x1359, 0x4dca, 0x75eb, 0xd8ab, 0x4141, 0x0a4d, 0x0070,
         0xe898, 0x7779, 0x4079, 0x8cc7, 0xfe73, 0x2b6f, 0x6cee, 0x5203},
    d2 = {0xf159, 0x26b2, 0x9b94, 0xebd6, 0xb156, 0x8283, 0x149a, 0x00e0,
          0xd130, 0xeef3, 0x80f2, 0x198e, 0xfce7, 0x56df, 0xd9dc, 0x2406},
    // The base point.
    base_x = {0xd51a, 0x8f25, 0x2d60, 0xc956, 0xa7b2, 0x9525, 0xc760, 0x692c,
              0xdc5c, 0xfdd6, 0xe231, 0xc0a4, 0x53fe, 0xcd6e, 0x36d3, 0x2169},
    base_y = {0x6658, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666,
              0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666},
    // The square root of -1.
    root = {0xa0b0, 0x4a0e, 0x1b27, 0xc4ee, 0xe478, 0xad2f, 0x1806, 0x2f43,
            0xd7a7, 0x3dfb, 0x0099, 0x2b4d, 0xdf0b, 0x4fc1, 0x2480, 0x2b83};

static void set(number out, const number a) {
    for (int i = 0; i < 16; i++) out[i] = a[i];
}

static void carry(number a) {
    for (int i = 0; i < 16; i++) {
        a[i] += (int64_t)1 << 16;
        int64_t c = a[i] >> 16;
        a[(i + 1) * (i < 15)] += c - 1 + 37 * (c - 1) * (i == 15);
        a[i] -= c << 16;
    }
}

static void add(number out, const number a, const number b) {
    for (int i = 0; i < 16; i++) out[i] = a[i] + b[i];
}

static void subtract(number out, const number a, const number b) {
    for (int i = 0; i < 16; i++) out[i] = a[i] - b[i];
}

static void multiply(number out, const number a, const number b) {
    int64_t product[31] = {0};
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < 16; j++) product[i + j] += a[i] * b[j];
    }
    for (int i = 0; i < 15; i++) product[i] += 38 * product[i + 16];
    for (int i = 0; i < 16; i++) out[i] = product[i];
    carry(out);
    carry(out);
}

static void invert(number out, const number a) {
    number c;
    set(c, a);
    for (int i = 253; i >= 0; i--) {
        multiply(c, c, c);
        if (i != 2 && i != 4) multiply(c, c, a);
    }
    set(out, c);
}

// a to the power of 2^252 - 3.
static void power(number out, const number a) {
    number c;
    set(c, a);
    for (int i = 250; i >= 0; i--) {
        multiply(c, c, c);
        if (i != 1) multiply(c, c, a);
    }
    set(out, c);
}

static void pack(uint8_t out[32], const number a) {
    number t, m;
    set(t, a);
    carry(t);
    carry(t);
    carry(t);
    for (int j = 0; j < 2; j++) {
        m[0] = t[0] - 0xffed;
        for (int i = 1; i < 15; i++) {
            m[i] = t[i] - 0xffff - ((m[i - 1] >> 16) & 1);
            m[i - 1] &= 0xffff;
        }
        m[15] = t[15] - 0x7fff - ((m[14] >> 16) & 1);
        m[14] &= 0xffff;
        if (((m[15] >> 16) & 1) == 0) set(t, m);
    }
    for (int i = 0; i < 16; i++) {
        out[2 * i] = (uint8_t)t[i];
        out[2 * i + 1] = (uint8_t)(t[i] >> 8);
    }
}

static void unpack(number out, const uint8_t bytes[32]) {
    for (int i = 0; i < 16; i++) out[i] = bytes[2 * i] + ((int64_t)bytes[2 * i + 1] << 8);
    out[15] &= 0x7fff;
}

static int are_equal(const uint8_t *a, const uint8_t *b) {
    for (int i = 0; i < 32; i++) {
        if (a[i] != b[i]) return 0;
    }
    return 1;
}

static int is_equal(const number a, const number b) {
    uint8_t c[32], e[32];
    pack(c, a);
    pack(e, b);
    return are_equal(c, e);
}

static int is_odd(const number a) {
    uint8_t bytes[32];
    pack(bytes, a);
    return bytes[0] & 1;
}

// MARK: - Points of the curve, as (x, y, z, t) with xy = zt

typedef number point[4];

static void add_points(point p, const point q) {
    number a, b, c, e, f, g, h, i, t;
    subtract(a, p[1], p[0]);
    subtract(t, q[1], q[0]);
    multiply(a, a, t);
    add(b, p[0], p[1]);
    add(t, q[0], q[1]);
    multiply(b, b, t);
    multiply(c, p[3], q[3]);
    multiply(c, c, d2);
    multiply(i, p[2], q[2]);
    add(i, i, i);
    subtract(e, b, a);
    subtract(f, i, c);
    add(g, i, c);
    add(h, b, a);
    multiply(p[0], e, f);
    multiply(p[1], h, g);
    multiply(p[2], g, f);
    multiply(p[3], e, h);
}

static void pack_point(uint8_t out[32], const point p) {
    number x, y, z;
    invert(z, p[2]);
    multiply(x, p[0], z);
    multiply(y, p[1], z);
    pack(out, y);
    out[31] ^= (uint8_t)(is_odd(x) << 7);
}

static void set_neutral(point p) {
    set(p[0], zero);
    set(p[1], one);
    set(p[2], one);
    set(p[3], zero);
}

// p = scalar * q. Nothing here is secret, so that time may tell the scalar.
static void multiply_point(point p, const point q, const uint8_t scalar[32]) {
    set_neutral(p);
    for (int i = 255; i >= 0; i--) {
        add_points(p, p);
        if (scalar[i / 8] >> (i & 7) & 1) add_points(p, q);
    }
}

// The negative of the point whose packed form is given; 0 if there is none.
static int unpack_negative(point r, const uint8_t bytes[32]) {
    number t, check, num, den, den2, den4, den6;
    set(r[2], one);
    unpack(r[1], bytes);
    multiply(num, r[1], r[1]);
    multiply(den, num, d);
    subtract(num, num, r[2]);
    add(den, r[2], den);
    multiply(den2, den, den);
    multiply(den4, den2, den2);
    multiply(den6, den4, den2);
    multiply(t, den6, num);
    multiply(t, t, den);
    power(t, t);
    multiply(t, t, num);
    multiply(t, t, den);
    multiply(t, t, den);
    multiply(r[0], t, den);
    multiply(check, r[0], r[0]);
    multiply(check, check, den);
    if (!is_equal(check, num)) multiply(r[0], r[0], root);
    multiply(check, r[0], r[0]);
    multiply(check, check, den);
    if (!is_equal(check, num)) return 0;
    if (is_odd(r[0]) == bytes[31] >> 7) subtract(r[0], zero, r[0]);
    multiply(r[3], r[0], r[1]);
    return 1;
}

// MARK: - The order of the base point

static const int64_t order[32] = {
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    [31] = 0x10,
};

static int is_reduced(const uint8_t scalar[32]) {
    for (int i = 31; i >= 0; i--) {
        if (scalar[i] != order[i]) return scalar[i] < order[i];
    }
    return 0;
}

static void reduce(uint8_t out[32], const uint8_t hash[64]) {
    int64_t x[64], c;
    for (int i = 0; i < 64; i++) x[i] = hash[i];
    for (int i = 63; i >= 32; i--) {
        c = 0;
        int j;
        for (j = i - 32; j < i - 12; j++) {
            x[j] += c - 16 * x[i] * order[j - (i - 32)];
            c = (x[j] + 128) >> 8;
            x[j] -= c << 8;
        }
        x[j] += c;
        x[i] = 0;
    }
    c = 0;
    for (int j = 0; j < 32; j++) {
        x[j] += c - (x[31] >> 4) * order[j];
        c = x[j] >> 8;
        x[j] &= 255;
    }
    for (int j = 0; j < 32; j++) x[j] -= c * order[j];
    for (int i = 0; i < 32; i++) {
        x[i + 1] += x[i] >> 8;
        out[i] = (uint8_t)(x[i] & 255);
    }
}

// MARK: - The method

static int verify_body(const uint8_t key[32], const uint8_t signature[64]) {
    point q, p;
    if (!is_reduced(signature + 32) || !unpack_negative(q, key)) return 0;
    sha512 hash;
    sha512_begin(&hash);
    sha512_add(&hash, signature, 32);
    sha512_add(&hash, key, 32);
    static uint8_t piece[4096];
    int32_t count;
    for (int64_t at = 0; (count = weft_read(WEFT_REQUEST, at, piece, sizeof piece)) > 0; at += count) {
        sha512_add(&hash, piece, (size_t)count);
    }
    uint8_t digest[64], scalar[32], packed[32];
    sha512_end(&hash, digest);
    reduce(scalar, digest);
    multiply_point(p, q, scalar);
    point base;
    set(base[0], base_x);
    set(base[1], base_y);
    set(base[2], one);
    multiply(base[3], base_x, base_y);
    multiply_point(q, base, signature + 32);
    add_points(p, q);
    pack_point(packed, p);
    return are_equal(packed, signature);
}

static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Reads a parameter of the query whose value is so many bytes in hexadecimal.
static int read_parameter(
    const char *query, int32_t length, const char *name, uint8_t *out, int32_t count)
{
    for (int32_t i = 0; i < length; i++) {
        if (i > 0 && query[i - 1] != '&') continue;
        int32_t at = i, n = 0;
        while (name[n] && at < length && query[at] == name[n]) at++, n++;
        if (name[n] || at == length || query[at++] != '=') continue;
        if (length - at < 2 * count || (length - at > 2 * count && query[at + 2 * count] != '&')) {
            return 0;
        }
        for (int32_t j = 0; j < count; j++, at += 2) {
            int high = digit(query[at]), low = digit(query[at + 1]);
            if (high < 0 || low < 0) return 0;
            out[j] = (uint8_t)(high << 4 | low);
        }
        return 1;
    }
    return 0;
}

static void answer(int32_t status, const char *line) {
    static const char name[] = "content-type", type[] = "text/plain";
    size_t length = 0;
    while (line[length]) length++;
    weft_respond(status);
    weft_header(name, sizeof name - 1, type, sizeof type - 1);
    weft_write(line, length);
}

WEFT_METHOD(verify) {
    static char query[512];
    int32_t length = weft_field(WEFT_REQUEST, WEFT_QUERY, "", 0, query, sizeof query);
    uint8_t key[32], signature[64];
    if (length < 0 || length > (int32_t)sizeof query
        || !read_parameter(query, length, "key", key, sizeof key)
        || !read_parameter(query, length, "signature", signature, sizeof signature)) {
        answer(400, "give key (32 bytes) and signature (64 bytes) in hexadecimal\n");
        return;
    }
    answer(200, verify_body(key, signature) ? "valid\n" : "invalid\n");
}
