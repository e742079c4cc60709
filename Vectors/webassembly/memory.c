// Grows the memory, fills, moves and adds up its pages.
unsigned long long run(void) {
    unsigned long long sum = 0;
    for (int i = 0; i < 20; i++) {
        unsigned long old = __builtin_wasm_memory_grow(0, i);
        unsigned char *new = (unsigned char *)(old * 65536);
        if (i == 0) continue;
        __builtin_memset(new, i, i * 65536);
        __builtin_memmove(new + 100, new + 50, i * 65536 - 100);
        for (int j = 0; j < i * 65536; j += 1021) sum = sum * 31 + new[j];
    }
    return sum + (__builtin_wasm_memory_grow(0, 70000) == (unsigned long)-1);
}
