// Sorts 20,000 numbers by quicksort, recursively; gives a hash of the result.
static unsigned data[20000];
static void sort(unsigned *first, unsigned *last) {
    if (last - first < 2) return;
    unsigned pivot = first[(last - first) / 2], *low = first, *high = last - 1;
    while (low <= high) {
        while (*low < pivot) low++;
        while (*high > pivot) high--;
        if (low <= high) {
            unsigned other = *low;
            *low++ = *high;
            *high-- = other;
        }
    }
    sort(first, high + 1);
    sort(low, last);
}
unsigned long long run(void) {
    unsigned seed = 1;
    for (int i = 0; i < 20000; i++) data[i] = seed = seed * 1664525u + 1013904223u;
    sort(data, data + 20000);
    unsigned long long hash = 14695981039346656037ull;
    for (int i = 0; i < 20000; i++) hash = (hash ^ data[i]) * 1099511628211ull;
    return hash;
}
