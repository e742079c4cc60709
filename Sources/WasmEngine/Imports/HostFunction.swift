// How a function of the host stands in the engine: its name and type, and what it does to a run.

import CWasmtime
import WasmRules

/// Why a function of the host does not come back to the contract.
enum HostExit: Error {
    /// The contract did what it must not.
    case trap(StaticString)
    /// It cannot pay.
    case outOfGas
    /// It is done, with this code.
    case ended(UInt32)
    /// This machine cannot go on.
    case failed(any Error)
}

/// The arguments of one call of the host.
struct HostArguments {
    fileprivate let values: UnsafeMutablePointer<wasmtime_val_raw_t>

    /// An argument that is a number or a size.
    func i32(_ index: Int) -> Int32 { values[index].i32 }
    /// An argument that is an address or a length in memory.
    func u32(_ index: Int) -> Int { Int(UInt32(bitPattern: values[index].i32)) }
    /// An argument of 64 bits.
    func i64(_ index: Int) -> Int64 { values[index].i64 }
}

/// A function that contracts can import.
final class HostFunction: Sendable {
    typealias Body = @Sendable (Activation, HostArguments) throws(HostExit) -> Int64

    let module: String
    let name: String
    let type: FunctionType
    let body: Body

    /// - Parameters:
    ///   - parameters: a letter each: `i` for i32, `l` for i64.
    ///   - result: the letter of the result; empty for none.
    init(
        _ module: String, _ name: String, _ parameters: String, _ result: String,
        _ body: @escaping Body
    ) {
        self.module = module
        self.name = name
        type = FunctionType(
            parameters: Self.types(parameters), results: Self.types(result))
        self.body = body
    }

    private static func types(_ letters: String) -> [ValueType] {
        letters.utf8.map { $0 == UInt8(ascii: "l") ? .i64 : .i32 }
    }

    /// All functions that contracts can import, by module and name.
    static let all: [String: HostFunction] = Dictionary(
        uniqueKeysWithValues: (native + wasi).map { ("\($0.module) \($0.name)", $0) })

    /// The function of an import.
    static func matching(_ entry: FunctionImport) throws(ContractFault) -> HostFunction {
        guard let function = all["\(entry.module) \(entry.name)"], function.type == entry.type
        else {
            throw .unknownImport(module: entry.module, name: entry.name)
        }
        return function
    }
}

/// A function of the host as an engine's linker knows it. It lives as long as the engine.
final class LinkedFunction: @unchecked Sendable {
    private let function: HostFunction
    private let library: WasmtimeLibrary

    /// Makes a function known to a linker.
    ///
    /// - Throws: ``EngineUnavailable`` if the linker refuses it.
    init(
        _ function: HostFunction, in linker: OpaquePointer, of library: WasmtimeLibrary
    ) throws(EngineUnavailable) {
        self.function = function
        self.library = library
        var parameters = library.vector(function.type.parameters)
        var results = library.vector(function.type.results)
        let signature = library.api.wasm_functype_new(&parameters, &results)
        defer { library.api.wasm_functype_delete(signature) }
        let error = library.api.wasmtime_linker_define_func_unchecked(
            linker, function.module, function.module.utf8.count, function.name,
            function.name.utf8.count, signature, Self.entry,
            Unmanaged.passUnretained(self).toOpaque(), nil)
        if let error { throw .refused(library.message(error)) }
    }

    /// What compiled code calls. Nothing is allocated here as long as all goes well.
    private static let entry: wasmtime_func_unchecked_callback_t = {
        environment, caller, values, _ in
        guard let environment, let caller, let values else { return nil }
        return Unmanaged<LinkedFunction>.fromOpaque(environment)._withUnsafeGuaranteedRef {
            $0.call(caller, values)
        }
    }

    private func call(
        _ caller: OpaquePointer, _ values: UnsafeMutablePointer<wasmtime_val_raw_t>
    ) -> OpaquePointer? {
        Activation.with(caller, library) { run -> OpaquePointer? in
            run.loadGas()
            do throws(HostExit) {
                if run.control.isCancelled { throw .failed(CancellationError()) }
                let result = try function.body(run, HostArguments(values: values))
                switch function.type.results.first {
                case .i64: values.pointee.i64 = result
                case nil: break
                default: values.pointee.i32 = Int32(truncatingIfNeeded: result)
                }
                run.storeGas()
                return nil
            } catch {
                return run.trap(error)
            }
        } ?? nil
    }
}

extension WasmtimeLibrary {
    fileprivate func vector(_ types: [ValueType]) -> wasm_valtype_vec_t {
        let values = types.map { api.wasm_valtype_new($0 == .i64 ? 1 : 0) }
        var vector = wasm_valtype_vec_t()
        values.withUnsafeBufferPointer {
            api.wasm_valtype_vec_new(&vector, $0.count, $0.baseAddress)
        }
        return vector
    }

    /// The text of an error, which is gone afterwards.
    func message(_ error: OpaquePointer) -> String {
        var text = wasm_byte_vec_t()
        api.wasmtime_error_message(error, &text)
        defer {
            api.wasm_byte_vec_delete(&text)
            api.wasmtime_error_delete(error)
        }
        return String(
            decoding: UnsafeRawBufferPointer(start: text.data, count: text.size), as: UTF8.self)
    }
}
