// Packs a picture as PNG and unpacks it: lodepng, from Debian's source package.
// flags: -lc -DLODEPNG_NO_COMPILE_DISK -DLODEPNG_NO_COMPILE_CPP
// source: lodepng

#include <stdlib.h>

#include "bench.h"
#include "lodepng.h"

enum { side = 512 };
static uint8_t pixels[side * side * 4];

WEFT_METHOD(run) {
    uint64_t random = 8, sum = 0;
    for (int y = 0; y < side; y++) {
        for (int x = 0; x < side; x++) {
            uint8_t *pixel = pixels + 4 * (y * side + x);
            pixel[0] = (uint8_t)(x + y);
            pixel[1] = (uint8_t)(x * y >> 6);
            pixel[2] = (uint8_t)(bench_next(&random) & 7);
            pixel[3] = 255;
        }
    }
    uint8_t *packed = NULL, *unpacked = NULL;
    size_t count = 0;
    unsigned width = 0, height = 0;
    sum = lodepng_encode32(&packed, &count, pixels, side, side);
    for (int round = 0; round < 8; round++) {
        free(unpacked);
        sum = bench_mix(sum, lodepng_decode32(&unpacked, &width, &height, packed, count));
    }
    sum = bench_mix(sum, count);
    for (size_t i = 0; unpacked && i < sizeof pixels; i += 101) sum = bench_mix(sum, unpacked[i]);
    bench_answer(sum);
}
