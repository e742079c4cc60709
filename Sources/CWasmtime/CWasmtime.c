// Opens Wasmtime's shared library and looks up its functions, and looks at the stack that compiled
// code is to run on.

#define _GNU_SOURCE

#include "CWasmtime.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>

const char *weft_wasmtime_open(const char *path, weft_wasmtime_t *functions) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return dlerror();
    // The library stays open: code that it compiled runs until the process ends.
#define WEFT_LOOK_UP(result, name, parameters)                                                     \
    *(void **)&functions->name = dlsym(library, #name);                                            \
    if (!functions->name) return #name;
    WEFT_WASMTIME_FUNCTIONS(WEFT_LOOK_UP)
#undef WEFT_LOOK_UP
    return NULL;
}

size_t weft_stack_left(void) {
    static _Thread_local uintptr_t lowest = 0;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (!lowest) {
        pthread_attr_t attributes;
        void *address = NULL;
        size_t size = 0;
        if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 0;
        int failed = pthread_attr_getstack(&attributes, &address, &size);
        pthread_attr_destroy(&attributes);
        if (failed != 0) return 0;
        lowest = (uintptr_t)address;
    }
    return here > lowest ? here - lowest : 0;
}
