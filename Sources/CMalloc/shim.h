// The allocator settings of glibc, which the Glibc module leaves out.
#include <malloc.h>
