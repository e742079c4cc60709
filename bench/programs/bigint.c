// Raises a number of 2,048 bits to a power modulo another, as checking and making signatures does.

#include "bench.h"

enum { words = 64 };
typedef uint32_t big[words];

static big modulus;
static uint32_t inverse;

// a × b / 2^2048 modulo the modulus (Montgomery).
static void multiply(big out, const big a, const big b) {
    uint32_t t[words + 2] = {0};
    for (int i = 0; i < words; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < words; j++) {
            uint64_t sum = (uint64_t)a[j] * b[i] + t[j] + carry;
            t[j] = (uint32_t)sum;
            carry = sum >> 32;
        }
        uint64_t sum = t[words] + carry;
        t[words] = (uint32_t)sum;
        t[words + 1] = (uint32_t)(sum >> 32);
        uint32_t factor = t[0] * inverse;
        carry = ((uint64_t)factor * modulus[0] + t[0]) >> 32;
        for (int j = 1; j < words; j++) {
            sum = (uint64_t)factor * modulus[j] + t[j] + carry;
            t[j - 1] = (uint32_t)sum;
            carry = sum >> 32;
        }
        sum = t[words] + carry;
        t[words - 1] = (uint32_t)sum;
        t[words] = t[words + 1] + (uint32_t)(sum >> 32);
    }
    uint64_t borrow = 0;
    big less;
    for (int i = 0; i < words; i++) {
        uint64_t difference = (uint64_t)t[i] - modulus[i] - borrow;
        less[i] = (uint32_t)difference;
        borrow = difference >> 63;
    }
    const uint32_t *result = t[words] >= borrow ? less : t;
    for (int i = 0; i < words; i++) out[i] = result[i];
}

WEFT_METHOD(run) {
    uint64_t random = 11, sum = 0;
    big base, exponent, result;
    for (int i = 0; i < words; i++) {
        modulus[i] = (uint32_t)bench_next(&random);
        base[i] = (uint32_t)bench_next(&random);
        exponent[i] = (uint32_t)bench_next(&random);
    }
    modulus[0] |= 1;
    modulus[words - 1] |= 0x80000000;
    base[words - 1] &= 0x7fffffff;
    inverse = 1;
    for (int i = 0; i < 5; i++) inverse *= 2 - modulus[0] * inverse;
    inverse = -inverse;
    for (int i = 0; i < words; i++) result[i] = base[i];
    for (int round = 0; round < 3; round++) {
        for (int bit = words * 32 - 1; bit >= 0; bit--) {
            multiply(result, result, result);
            if (exponent[bit / 32] >> (bit % 32) & 1) multiply(result, result, base);
        }
    }
    for (int i = 0; i < words; i++) sum = bench_mix(sum, result[i]);
    bench_answer(sum);
}
