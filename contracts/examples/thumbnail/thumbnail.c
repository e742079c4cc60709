// Makes a small picture of a large one: POST /?width=200 with a PNG as the body answers a PNG of at
// most that width. A WASI command; decoder and encoder are lodepng, from Debian's source package.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lodepng.h"

enum { largest_body = 32 << 20, largest_side = 16384, largest_width = 2048 };

static int fail(const char *status, const char *reason) {
    printf("Status: %s\nContent-Type: text/plain; charset=utf-8\n\n%s\n", status, reason);
    return 0;
}

// The number of a parameter of the query; `otherwise` if it is not there.
static long parameter(const char *name, long otherwise) {
    const char *item = getenv("QUERY_STRING");
    size_t length = strlen(name);
    while (item) {
        if (*item == '&') item++;
        if (strncmp(item, name, length) == 0 && item[length] == '=') {
            return strtol(item + length + 1, NULL, 10);
        }
        item = strchr(item, '&');
    }
    return otherwise;
}

static uint8_t *read_body(size_t *count) {
    const char *length = getenv("CONTENT_LENGTH");
    *count = length ? strtoul(length, NULL, 10) : 0;
    if (*count == 0 || *count > largest_body) return NULL;
    uint8_t *bytes = malloc(*count);
    if (bytes) *count = fread(bytes, 1, *count, stdin);
    return bytes;
}

// Averages each pixel of the small picture over those of the large one that it covers, in whole
// numbers, weighted by how opaque they are.
static void shrink(
    const uint8_t *from, unsigned width, unsigned height, uint8_t *to, unsigned small_width,
    unsigned small_height)
{
    for (unsigned y = 0; y < small_height; y++) {
        unsigned top = (uint64_t)y * height / small_height;
        unsigned bottom = (uint64_t)(y + 1) * height / small_height;
        for (unsigned x = 0; x < small_width; x++) {
            unsigned left = (uint64_t)x * width / small_width;
            unsigned right = (uint64_t)(x + 1) * width / small_width;
            uint64_t sums[3] = {0}, alpha = 0, count = 0;
            for (unsigned row = top; row < bottom; row++) {
                const uint8_t *pixel = from + 4 * ((size_t)row * width + left);
                for (unsigned column = left; column < right; column++, pixel += 4) {
                    for (int i = 0; i < 3; i++) sums[i] += (uint64_t)pixel[i] * pixel[3];
                    alpha += pixel[3];
                    count++;
                }
            }
            uint8_t *pixel = to + 4 * ((size_t)y * small_width + x);
            for (int i = 0; i < 3; i++) {
                pixel[i] = alpha ? (uint8_t)((sums[i] + alpha / 2) / alpha) : 0;
            }
            pixel[3] = (uint8_t)((alpha + count / 2) / count);
        }
    }
}

int main(void) {
    size_t count;
    uint8_t *body = read_body(&count);
    if (!body) return fail("400 Bad Request", "send a PNG of at most 32 MiB as the body");
    long wanted = parameter("width", 200);
    if (wanted < 1 || wanted > largest_width) {
        return fail("400 Bad Request", "width is a number from 1 to 2048");
    }
    unsigned width, height;
    LodePNGState state;
    lodepng_state_init(&state);
    unsigned error = lodepng_inspect(&width, &height, &state, body, count);
    lodepng_state_cleanup(&state);
    if (!error && (width > largest_side || height > largest_side)) {
        return fail("413 Content Too Large", "a side has more than 16384 pixels");
    }
    uint8_t *picture;
    if (!error) error = lodepng_decode32(&picture, &width, &height, body, count);
    if (error) return fail("415 Unsupported Media Type", lodepng_error_text(error));

    unsigned small_width = width < wanted ? width : (unsigned)wanted;
    unsigned small_height = (unsigned)(((uint64_t)height * small_width + width / 2) / width);
    if (small_height == 0) small_height = 1;
    uint8_t *small = malloc((size_t)small_width * small_height * 4);
    uint8_t *out;
    size_t length;
    if (!small) return 1;
    shrink(picture, width, height, small, small_width, small_height);
    if (lodepng_encode32(&out, &length, small, small_width, small_height)) return 1;
    printf("Content-Type: image/png\n\n");
    return fwrite(out, 1, length, stdout) == length ? 0 : 1;
}
