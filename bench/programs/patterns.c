// Finds a regular expression in a text by going through all its states side by side.

#include "bench.h"

enum { most = 128 };
typedef struct { uint8_t set[32]; int out, other, splits; } state;
static state states[most];
static int count;
static char document[1 << 19];

static int make(int splits, int out, int other) {
    states[count] = (state){.out = out, .other = other, .splits = splits};
    return count++;
}

static void allow(int index, int from, int to) {
    for (int c = from; c <= to; c++) states[index].set[c >> 3] |= (uint8_t)(1 << (c & 7));
}

static int range(int from, int to, int next) {
    int made = make(0, next, -1);
    allow(made, from, to);
    return made;
}

static int many(int from, int to, int next) {
    int split = make(1, -1, next);
    states[split].out = range(from, to, split);
    return split;
}

static uint32_t marks[most], mark;
static int active[2][most], numbers[2];

static void enter(int list, int index) {
    if (index < 0 || marks[index] == mark) return;
    marks[index] = mark;
    if (states[index].splits) {
        enter(list, states[index].out);
        enter(list, states[index].other);
    } else {
        active[list][numbers[list]++] = index;
    }
}

WEFT_METHOD(run) {
    // [a-z]+[0-9]*@([a-z]+\.)+(com|org)
    int end = make(0, -1, -1);
    int com = range('c', 'c', range('o', 'o', range('m', 'm', end)));
    int org = range('o', 'o', range('r', 'r', range('g', 'g', end)));
    int either = make(1, com, org);
    int again = make(1, -1, either);
    int label = range('a', 'z', many('a', 'z', range('.', '.', again)));
    states[again].out = label;
    int start = range('a', 'z', many('a', 'z', many('0', '9', range('@', '@', label))));

    uint64_t random = 10, sum = 0;
    static const char letters[] = "abcdefgocmr0123@@..  ";
    for (size_t i = 0; i < sizeof document; i++) {
        document[i] = letters[bench_next(&random) % (sizeof letters - 1)];
    }
    for (int round = 0; round < 4; round++) {
        int list = 0, found = 0;
        numbers[0] = 0;
        for (size_t i = 0; i < sizeof document; i++) {
            mark++;
            int next = 1 - list;
            numbers[next] = 0;
            for (int j = 0; j < numbers[list]; j++) marks[active[list][j]] = mark;
            if (marks[start] != mark) active[list][numbers[list]++] = start;
            mark++;
            uint8_t c = (uint8_t)document[i];
            for (int j = 0; j < numbers[list]; j++) {
                const state *from = &states[active[list][j]];
                if (from->set[c >> 3] >> (c & 7) & 1) enter(next, from->out);
            }
            if (marks[end] == mark) found++;
            list = next;
        }
        sum = bench_mix(sum, (uint64_t)found);
    }
    bench_answer(sum);
}
