// Calls through pointers, recursion, and a switch.
typedef unsigned long long (*Function)(unsigned);
static unsigned long long fibonacci(unsigned n) {
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
static unsigned long long square(unsigned n) { return (unsigned long long)n * n; }
static unsigned long long sum(unsigned n) { return n ? n + sum(n - 1) : 0; }
static volatile Function functions[3] = {fibonacci, square, sum};
static unsigned long long mix(unsigned n, unsigned long long x) {
    switch (n % 7) {
    case 0: return x * 3;
    case 1: return x ^ 0x5555;
    case 2: return x / 7;
    case 3: return x << 5 | x >> 59;
    case 5: return x % 1000003;
    default: return x + n;
    }
}
unsigned long long run(void) {
    unsigned long long x = 1;
    for (unsigned i = 0; i < 60; i++) x = mix(i, x + functions[i % 3](i % 20));
    return x;
}
