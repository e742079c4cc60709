// The entry point of libFuzzer. The environment variable FUZZ_TARGET names the parser under test;
// a crash is a bug, and so is a value that does not survive being encoded and decoded again.

import Foundation

private let target: (RawSpan) -> Void = {
    let name = ProcessInfo.processInfo.environment["FUZZ_TARGET"] ?? ""
    guard let target = targets[name] else {
        print("FUZZ_TARGET is one of \(targets.keys.sorted().joined(separator: " "))")
        exit(2)
    }
    return target
}()

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    target(RawSpan(_unsafeBytes: bytes))
    return 0
}

/// Stops the run, because a property of the parser does not hold.
func violated(_ property: String) -> Never {
    print("violated: \(property)")
    abort()
}
