// What is fuzzed of contracts: modules that a stranger published.

import Wire

@testable import WasmRules

/// The parsers by name.
let wasmTargets: [String: Target] = [
    "wasm": { bytes in
        instrument([UInt8](bytes), for: .contract)
    },
    // A function's code alone, in a module that has one of everything, so that its instructions are
    // reached sooner.
    "wasm-code": { bytes in
        instrument(moduleAround([UInt8](bytes)), for: .conformance)
    },
]

/// Whatever is taken becomes a module that is taken again, and the same one each time.
private func instrument(_ bytes: [UInt8], for purpose: InstrumentedModule.Purpose) {
    guard let module = try? InstrumentedModule(bytes, for: purpose) else { return }
    if (try? InstrumentedModule(bytes, for: purpose)) != module {
        violated("equal modules become equal modules")
    }
    do throws(WasmRefusal) {
        let again = try ModuleDecoder.decode(module.bytes)
        var validator = FunctionValidator(again)
        for body in again.bodies.indices { _ = try validator.validate(body: body) }
    } catch  where error.kind == .overLimit {
        // What was added may be more than an author may write.
    } catch {
        violated("an instrumented module is valid: \(error)")
    }
}

private func moduleAround(_ code: [UInt8]) -> [UInt8] {
    var out: [UInt8] = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
    // The types [] -> [], [i32] -> [i64], [f64] -> [f32 v128].
    out += [1, 15, 3, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7e, 0x60, 1, 0x7c, 2, 0x7d, 0x7b]
    // A function of the host of type 1, and the function [] -> [] whose code is given.
    out += [2, 7, 1, 1, 0x6d, 1, 0x66, 0, 1, 3, 2, 1, 0]
    // Tables of functions and other references, a memory, a variable of each type.
    out += [4, 7, 2, 0x70, 0, 4, 0x6f, 0, 4, 5, 3, 1, 0, 1]
    out += [6, 11, 2, 0x7f, 1, 0x41, 0, 0x0b, 0x7e, 1, 0x42, 0, 0x0b]
    // The function's reference may be taken; one segment of data.
    out += [9, 5, 1, 3, 0, 1, 1, 12, 1, 1]
    let variables: [UInt8] = [6, 1, 0x7f, 1, 0x7e, 1, 0x7d, 1, 0x7c, 1, 0x7b, 1, 0x70]
    let body = variables + code + [0x0b]
    var content: [UInt8] = [1]
    content.appendVarint(UInt64(body.count))
    content += body
    out.append(10)
    out.appendVarint(UInt64(content.count))
    out += content
    return out + [11, 4, 1, 1, 1, 0]
}
