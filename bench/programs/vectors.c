// Multiplies matrices of 32-bit floating-point numbers with vectors of four.
// flags: -msimd128 -O3

#include "bench.h"

enum { side = 512 };
typedef float lanes __attribute__((vector_size(16)));
static float a[side][side];
static lanes b[side][side / 4], c[side][side / 4];

WEFT_METHOD(run) {
    uint64_t random = 3, sum = 0;
    float *numbers = (float *)b;
    for (int i = 0; i < side; i++) {
        for (int j = 0; j < side; j++) {
            a[i][j] = (float)(int32_t)bench_next(&random) / 1e6f;
            numbers[i * side + j] = (float)(int32_t)bench_next(&random) / 1e6f;
        }
    }
    for (int i = 0; i < side; i++) {
        for (int k = 0; k < side; k++) {
            lanes factor = {a[i][k], a[i][k], a[i][k], a[i][k]};
            for (int j = 0; j < side / 4; j++) c[i][j] += factor * b[k][j];
        }
    }
    for (int i = 0; i < side; i++) sum = bench_mix(sum, (uint64_t)(int64_t)c[i][(i * 7) % 128][i & 3]);
    bench_answer(sum);
}
