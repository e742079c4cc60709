// Sorts a million numbers by comparing them, through a pointer to a function as qsort does.

#include "bench.h"

enum { count = 1000000 };
static uint64_t numbers[count];
typedef int (*order)(const void *, const void *);

static int ascending(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static int descending(const void *left, const void *right) { return ascending(right, left); }

static void sort(uint64_t *from, long low, long high, order compare) {
    while (low < high) {
        uint64_t middle = from[(low + high) / 2];
        long i = low, j = high;
        while (i <= j) {
            while (compare(&from[i], &middle) < 0) i++;
            while (compare(&from[j], &middle) > 0) j--;
            if (i <= j) {
                uint64_t number = from[i];
                from[i++] = from[j];
                from[j--] = number;
            }
        }
        if (j - low < high - i) {
            sort(from, low, j, compare);
            low = i;
        } else {
            sort(from, i, high, compare);
            high = j;
        }
    }
}

WEFT_METHOD(run) {
    static const order orders[2] = {ascending, descending};
    uint64_t random = 5, sum = 0;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < count; i++) numbers[i] = bench_next(&random);
        sort(numbers, 0, count - 1, orders[bench_next(&random) & 1]);
        for (int i = 0; i < count; i += 997) sum = bench_mix(sum, numbers[i]);
    }
    bench_answer(sum);
}
