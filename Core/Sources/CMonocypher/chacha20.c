// ChaCha20 (RFC 8439) four blocks at a time, in the four lanes of WebAssembly's vectors, which takes
// half as long as Monocypher's. It stands before Monocypher's function of this name, which does what
// is shorter (Scripts/build-browser).

#include <monocypher.h>

uint32_t monocypher_chacha20_ietf(
    uint8_t *cipher, const uint8_t *plain, size_t size, const uint8_t key[32],
    const uint8_t nonce[12], uint32_t counter);

typedef uint32_t lanes __attribute__((vector_size(16)));
typedef uint16_t halves __attribute__((vector_size(16)));
// As they lie in memory, wherever that is.
typedef uint32_t loose_word __attribute__((aligned(1), may_alias));
typedef uint32_t loose_lanes __attribute__((vector_size(16), aligned(1), may_alias));

#define ROTATE(x, n) ((x) << (n) | (x) >> (32 - (n)))
// Words by halves: of moving single bytes Chromium makes less than of shifts.
#define ROTATE_16(x) \
    (lanes) __builtin_shufflevector( \
        (halves)(x), (halves)(x), 1, 0, 3, 2, 5, 4, 7, 6)
#define QUARTER(a, b, c, d) \
    a += b, d ^= a, d = ROTATE_16(d), c += d, b ^= c, b = ROTATE(b, 12), \
    a += b, d ^= a, d = ROTATE(d, 8), c += d, b ^= c, b = ROTATE(b, 7)

enum { block_size = 64, stride = 4 * block_size };

static lanes all(uint32_t word) { return (lanes){word, word, word, word}; }

uint32_t crypto_chacha20_ietf(
    uint8_t *cipher, const uint8_t *plain, size_t size, const uint8_t key[32],
    const uint8_t nonce[12], uint32_t counter)
{
    lanes start[16] = {all(0x61707865), all(0x3320646e), all(0x79622d32), all(0x6b206574)};
    for (int i = 0; i < 8; i++) start[4 + i] = all(((const loose_word *)key)[i]);
    for (int i = 0; i < 3; i++) start[13 + i] = all(((const loose_word *)nonce)[i]);
    // Where the counter overflows is for Monocypher to say.
    while (plain && size >= stride && counter < UINT32_MAX - 4) {
        start[12] = all(counter) + (lanes){0, 1, 2, 3};
        counter += 4;
        lanes x[16];
        for (int i = 0; i < 16; i++) x[i] = start[i];
        for (int round = 0; round < 20; round += 2) {
            QUARTER(x[0], x[4], x[8], x[12]);
            QUARTER(x[1], x[5], x[9], x[13]);
            QUARTER(x[2], x[6], x[10], x[14]);
            QUARTER(x[3], x[7], x[11], x[15]);
            QUARTER(x[0], x[5], x[10], x[15]);
            QUARTER(x[1], x[6], x[11], x[12]);
            QUARTER(x[2], x[7], x[8], x[13]);
            QUARTER(x[3], x[4], x[9], x[14]);
        }
        for (int i = 0; i < 16; i += 4) {
            lanes a = x[i] + start[i], b = x[i + 1] + start[i + 1];
            lanes c = x[i + 2] + start[i + 2], d = x[i + 3] + start[i + 3];
            // From a word of four blocks in each to four words of a block in each.
            lanes ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
            lanes cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
            lanes AB = __builtin_shufflevector(a, b, 2, 6, 3, 7);
            lanes CD = __builtin_shufflevector(c, d, 2, 6, 3, 7);
            lanes blocks[4] = {
                __builtin_shufflevector(ab, cd, 0, 1, 4, 5),
                __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
                __builtin_shufflevector(AB, CD, 0, 1, 4, 5),
                __builtin_shufflevector(AB, CD, 2, 3, 6, 7),
            };
            for (int block = 0; block < 4; block++) {
                size_t at = block * block_size + 4 * i;
                *(loose_lanes *)(cipher + at) = *(const loose_lanes *)(plain + at) ^ blocks[block];
            }
        }
        size -= stride, cipher += stride, plain += stride;
    }
    return monocypher_chacha20_ietf(cipher, plain, size, key, nonce, counter);
}
