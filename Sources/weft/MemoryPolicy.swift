// How the C library's allocator treats the memory of this program.

import CMalloc

/// Makes resident memory follow what is in use, for a process that runs long or moves much.
///
/// With one arena a thread, as glibc has by default, the buffers that many connections free stay
/// scattered over all arenas: serving 256 connections, 430 MiB were resident for 80 MiB in use. One
/// arena with fixed thresholds took 180 MiB, and was faster. Buffers of whole blocks stay below the
/// threshold: mapping and unmapping them took 40 % of the time of serving an archive.
func limitAllocator() {
    mallopt(M_ARENA_MAX, 1)
    mallopt(M_MMAP_THRESHOLD, 8 << 20)
    mallopt(M_TRIM_THRESHOLD, 32 << 20)
}
