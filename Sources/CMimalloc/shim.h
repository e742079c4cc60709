// The allocator that takes the place of glibc's in every program that imports this.
#include <mimalloc.h>
