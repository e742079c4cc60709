// Finds and opens Wasmtime's shared library, once, when something is first computed.

import CWasmtime
import Glibc

/// Why nothing can be computed on this machine.
public enum EngineUnavailable: Error, Sendable, Equatable, CustomStringConvertible {
    /// The library is at none of these places.
    case missing([String])
    /// It is there and cannot be used.
    case unusable(path: String, reason: String)
    /// It was opened, and made no engine.
    case refused(String)

    public var description: String {
        switch self {
        case .missing(let places):
            """
            contracts cannot run here: \(WasmtimeLibrary.name) is not at \
            \(places.joined(separator: " or ")); in a checkout run Scripts/install-packages build, \
            otherwise install Weft again or set WEFT_WASMTIME to the file
            """
        case .unusable(let path, let reason): "\(path) cannot be used: \(reason)"
        case .refused(let reason): "the engine for contracts did not start: \(reason)"
        }
    }
}

/// The opened library. Its functions may be called on any thread.
final class WasmtimeLibrary: @unchecked Sendable {
    /// The file that is looked for.
    static let name = "libwasmtime.so"
    /// The version whose functions and types are declared here.
    static let version = "50.0.1"

    /// Its functions.
    let api: weft_wasmtime_t
    /// Where it is.
    let path: String

    /// The library, opened if it was not yet.
    static let shared = Result { () throws(EngineUnavailable) in try WasmtimeLibrary() }

    /// Opens the library at the first of its places where there is one.
    init(at places: [String] = WasmtimeLibrary.places) throws(EngineUnavailable) {
        guard let path = places.first(where: { access($0, R_OK) == 0 }) else {
            throw .missing(places)
        }
        var functions = weft_wasmtime_t()
        if let fault = weft_wasmtime_open(path, &functions) {
            throw .unusable(path: path, reason: String(cString: fault))
        }
        api = functions
        self.path = path
    }

    /// Where an installed program has it, and where a checkout does: beside what was built.
    static var places: [String] {
        if let named = getenv("WEFT_WASMTIME"), named.pointee != 0 {
            return [String(cString: named)]
        }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let length = readlink("/proc/self/exe", &buffer, Int(PATH_MAX))
        guard length > 0 else { return [] }
        let program = String(
            decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var folders = program.split(separator: "/").map(String.init).dropLast()
        var places = ["/" + (folders.dropLast() + ["lib", "weft", name]).joined(separator: "/")]
        while let last = folders.last {
            if last == ".build" {
                places.append("/" + (folders + ["wasmtime", name]).joined(separator: "/"))
            }
            folders = folders.dropLast()
        }
        return places
    }
}

/// Whether contracts can run on this machine, for a diagnosis.
public enum EngineCheck {
    /// Whether the library is at one of its places. It is not opened for that.
    public static let isInstalled = WasmtimeLibrary.places.contains { access($0, R_OK) == 0 }

    /// Opens the library; gives where it is.
    public static func library() throws(EngineUnavailable) -> String {
        try WasmtimeLibrary.shared.get().path
    }
}
