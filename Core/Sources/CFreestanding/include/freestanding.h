// What Embedded Swift expects of a C library, for a WebAssembly module that has none. On hosts
// this target is empty.
#ifndef WEFT_FREESTANDING_H
#define WEFT_FREESTANDING_H
#endif
