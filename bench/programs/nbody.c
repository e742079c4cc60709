// Five bodies that attract each other, step by step.

#include "bench.h"

enum { count = 5, steps = 1000000 };
typedef struct { double place[3], speed[3], mass; } body;

WEFT_METHOD(run) {
    body bodies[count];
    uint64_t random = 4, sum = 0;
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < 3; j++) {
            bodies[i].place[j] = (double)(int32_t)bench_next(&random) / 1e8;
            bodies[i].speed[j] = (double)(int32_t)bench_next(&random) / 1e9;
        }
        bodies[i].mass = (double)(uint32_t)bench_next(&random) / 4e9 + 0.1;
    }
    for (int step = 0; step < steps; step++) {
        for (int i = 0; i < count; i++) {
            for (int j = i + 1; j < count; j++) {
                double way[3], square = 1e-3;
                for (int k = 0; k < 3; k++) {
                    way[k] = bodies[i].place[k] - bodies[j].place[k];
                    square += way[k] * way[k];
                }
                double pull = 0.001 / (square * __builtin_sqrt(square));
                for (int k = 0; k < 3; k++) {
                    bodies[i].speed[k] -= way[k] * bodies[j].mass * pull;
                    bodies[j].speed[k] += way[k] * bodies[i].mass * pull;
                }
            }
        }
        for (int i = 0; i < count; i++) {
            for (int k = 0; k < 3; k++) bodies[i].place[k] += 0.001 * bodies[i].speed[k];
        }
    }
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < 3; k++) sum = bench_mix(sum, (uint64_t)(int64_t)(bodies[i].place[k] * 1e6));
    }
    bench_answer(sum);
}
