// Opens Wasmtime's shared library and looks up its functions.

#include "CWasmtime.h"

#include <dlfcn.h>

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
