// The handful of C functions that Embedded Swift calls, for WebAssembly without a C library:
// memory blocks, copying and random bytes.
//
// The allocator keeps a free list for each of four sizes between a power of two and the next, so that
// a block is at most a fourth larger than it has to be, and never returns memory to the host: the
// module's memory is dropped as a whole. It is not thread-safe, as the module has one thread.
//
// Contracts are linked with it too (WEFT_CONTRACT), see contracts/compile.

#include "freestanding.h"

#if __wasm__

#include <stddef.h>
#include <stdint.h>

#ifdef WEFT_CONTRACT
// Bytes that follow from what is called with what.
__attribute__((import_module("weft"), import_name("seed")))
#else
// The host fills `count` bytes at `bytes` from a cryptographic source.
__attribute__((import_module("weft"), import_name("random")))
#endif
void weft_host_random(void *bytes, size_t count);

// One instruction copies any number of bytes (-mbulk-memory): a contract pays by the instruction,
// and an engine has nothing faster.
void *memcpy(void *restrict target, const void *restrict source, size_t count) {
    return __builtin_memcpy(target, source, count);
}

void *memmove(void *target, const void *source, size_t count) {
    return __builtin_memmove(target, source, count);
}

void *memset(void *target, int value, size_t count) {
    return __builtin_memset(target, value, count);
}

int memcmp(const void *left, const void *right, size_t count) {
    const uint8_t *a = left;
    const uint8_t *b = right;
    for (; count > 0; count--, a++, b++) {
        if (*a != *b) return *a < *b ? -1 : 1;
    }
    return 0;
}

void arc4random_buf(void *bytes, size_t count) { weft_host_random(bytes, count); }

// The product of two 128-bit integers, which WebAssembly has no instruction for.
__int128 __multi3(__int128 left, __int128 right) {
    uint64_t a = (uint64_t)left, b = (uint64_t)right;
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0;
    uint64_t middle = a1 * b0 + (low >> 32);
    uint64_t other = a0 * b1 + (uint32_t)middle;
    uint64_t high = a1 * b1 + (middle >> 32) + (other >> 32);
    high += a * (uint64_t)(right >> 64) + b * (uint64_t)(left >> 64);
    return (__int128)((unsigned __int128)high << 64 | (other << 32 | (uint32_t)low));
}

// Every block starts with this, and what follows is aligned to 16 bytes.
union header {
    struct {
        uint32_t size_class;
        union header *next;
    };
    uint8_t alignment[16];
};

// The smallest block has 32 bytes, the largest one 1 GiB.
enum { smallest_power = 4, largest_power = 29, steps = 4, page_size = 65536 };

static union header *free_lists[(largest_power - smallest_power + 1) * steps];

// The class of the smallest blocks of so many bytes, which are a multiple of 16 from 32 to 1 GiB.
static uint32_t class_of(size_t whole) {
    uint32_t power = 31 - __builtin_clz(whole - 1);
    uint32_t step = (whole - 1 - ((size_t)1 << power)) >> (power - 2);
    return (power - smallest_power) * steps + step;
}

static size_t size_of(uint32_t size_class) {
    uint32_t power = size_class / steps + smallest_power;
    return ((size_t)1 << power) + ((size_t)(size_class % steps + 1) << (power - 2));
}

extern uint8_t __heap_base;
static uintptr_t heap_top;

static union header *take_new_block(uint32_t size_class) {
    uintptr_t size = size_of(size_class);
    if (heap_top == 0) heap_top = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
    uintptr_t limit = (uintptr_t)__builtin_wasm_memory_size(0) * page_size;
    if (size > UINTPTR_MAX - heap_top) return 0;
    if (heap_top + size > limit) {
        uintptr_t pages = (heap_top + size - limit + page_size - 1) / page_size;
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) return 0;
    }
    union header *block = (union header *)heap_top;
    heap_top += size;
    return block;
}

void *malloc(size_t count) {
    if (count > ((size_t)2 << largest_power) - sizeof(union header)) return 0;
    size_t whole = (count + (count == 0) + sizeof(union header) + 15) & ~(size_t)15;
    uint32_t size_class = class_of(whole);
    union header *block = free_lists[size_class];
    if (block) {
        free_lists[size_class] = block->next;
    } else {
        block = take_new_block(size_class);
        if (!block) return 0;
    }
    block->size_class = size_class;
    return block + 1;
}

void free(void *bytes) {
    if (!bytes) return;
    union header *block = (union header *)bytes - 1;
    block->next = free_lists[block->size_class];
    free_lists[block->size_class] = block;
}

void *calloc(size_t count, size_t size) {
    size_t whole;
    if (__builtin_mul_overflow(count, size, &whole)) return 0;
    void *block = malloc(whole);
    return block ? memset(block, 0, whole) : 0;
}

void *realloc(void *old, size_t count) {
    if (!old) return malloc(count);
    size_t room = size_of(((union header *)old - 1)->size_class) - sizeof(union header);
    if (count <= room) return old;
    void *block = malloc(count);
    if (!block) return 0;
    memcpy(block, old, room);
    free(old);
    return block;
}

int posix_memalign(void **result, size_t alignment, size_t count) {
    // Swift asks for at most 16 here; a type that needs more would have to be new.
    if (alignment > sizeof(union header)) return 22;
    *result = malloc(count);
    return *result ? 0 : 12;
}

#endif
