// Multiplies matrices of 64-bit floating-point numbers.

#include "bench.h"

enum { side = 320 };
static double a[side][side], b[side][side], c[side][side];

WEFT_METHOD(run) {
    uint64_t random = 2, sum = 0;
    for (int i = 0; i < side; i++) {
        for (int j = 0; j < side; j++) {
            a[i][j] = (double)(int32_t)bench_next(&random) / 1e6;
            b[i][j] = (double)(int32_t)bench_next(&random) / 1e6;
        }
    }
    for (int i = 0; i < side; i++) {
        for (int j = 0; j < side; j++) {
            double dot = 0;
            for (int k = 0; k < side; k++) dot += a[i][k] * b[k][j];
            c[i][j] = dot;
        }
    }
    for (int i = 0; i < side; i++) sum = bench_mix(sum, (uint64_t)(int64_t)c[i][(i * 7) % side]);
    bench_answer(sum);
}
