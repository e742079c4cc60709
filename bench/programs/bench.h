// What the programs of the benchmark share: numbers that are the same in every run, and the answer.

#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <weft.h>

// The next number of a fixed sequence (xorshift).
static inline uint64_t bench_next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

// Mixes a number into a sum.
static inline uint64_t bench_mix(uint64_t sum, uint64_t number) {
    return (sum ^ number) * 0x100000001b3u;
}

// What the program answers, so that no compiler leaves out its work.
static inline void bench_answer(uint64_t sum) { weft_write(&sum, sizeof sum); }

#endif
