// How this program uses memory: the C library's allocator, and the pages of its own code.

import CMalloc
import Glibc

/// Makes resident memory follow what is in use, for a process that runs long or moves much. To be
/// called before there is a second thread, whose own arena would stay.
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

/// Lets go of the code that only starting needed.
///
/// Starting touches code all over the program, and the kernel maps the neighbours of each page that
/// is touched: some 30 MiB were resident for ever after. They are clean pages of files, which stay
/// in the page cache; those that are needed again are mapped again, 64 KiB at a time, in about a
/// microsecond and without reading. Code alone is let go of, never data: pages that the dynamic
/// linker has changed would be lost.
func releaseStartingCode() {
    guard let maps = fopen("/proc/self/maps", "re") else { return }
    defer { fclose(maps) }
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(line) }
    while getline(&line, &capacity, maps) > 0, let line {
        // START-END r-xp OFFSET DEVICE INODE PATH
        let fields = String(cString: line).split(separator: " ")
        guard fields.count >= 6, fields[1] == "r-xp", fields[5].hasPrefix("/") else { continue }
        let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
        guard ends.count == 2, let start = UnsafeMutableRawPointer(bitPattern: ends[0]) else {
            continue
        }
        madvise(start, Int(ends[1] - ends[0]), MADV_DONTNEED)
    }
}
