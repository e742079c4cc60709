// Runs libFuzzer on the parser that the environment variable FUZZ_TARGET names; lists the parsers
// without it. A crash is a bug, and so is a value that does not survive being encoded and decoded
// again.

import CLibFuzzer
import Glibc

@main struct Fuzz {
    static func main() {
        let all = targets.merging(shellTargets) { target, _ in target }
            .merging(connectionTargets) { target, _ in target }
            .merging(peeringTargets) { target, _ in target }
            .merging(channelTargets) { target, _ in target }
            .merging(nodeTargets) { target, _ in target }
            .merging(wasmTargets) { target, _ in target }
            .merging(computeTargets) { target, _ in target }
            .merging(webRTCTargets) { target, _ in target }
        guard let target = getenv("FUZZ_TARGET").flatMap({ all[String(cString: $0)] }) else {
            print(all.keys.sorted().joined(separator: "\n"))
            return
        }
        chosen = target
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? =
            CommandLine.unsafeArgv
        exit(
            LLVMFuzzerRunDriver(&count, &arguments) { start, count in
                chosen(UnsafeRawBufferPointer(start: start, count: count).bytes)
                return 0
            })
    }
}

/// The parser under test, set once before the first input.
nonisolated(unsafe) private var chosen: Target = { _ in }

/// Stops the run, because a property of the parser does not hold.
func violated(_ property: String) -> Never {
    print("violated: \(property)")
    abort()
}
