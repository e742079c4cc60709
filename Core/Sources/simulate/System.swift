// What is asked of the operating system.

import Glibc

/// The memory that this process has in use, in bytes; zero where the system does not say.
func residentBytes() -> Int {
    guard let file = unsafe fopen("/proc/self/statm", "r") else { return 0 }
    defer { unsafe fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = unsafe fread(&bytes, 1, bytes.count, file)
    let words = bytes[..<count].split(separator: UInt8(ascii: " "))
    guard words.count > 1, let pages = Int(String(decoding: words[1], as: UTF8.self)) else {
        return 0
    }
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
}

/// Writes a line where errors go.
func complain(_ message: String) {
    let line = Array("simulate: \(message)\n".utf8)
    _ = unsafe write(STDERR_FILENO, line, line.count)
}

/// Ends the process.
func leave(with code: Int32) -> Never { exit(code) }

/// The logarithm that a lookup's cost is held against.
func log2(_ number: Int) -> Double { Glibc.log2(Double(max(1, number))) }
