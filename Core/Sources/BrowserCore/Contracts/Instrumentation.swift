// What a contract's module becomes before the browser's engine sees it.

import WasmRules
import Wire

/// A contract's module, checked and instrumented for the browser's engine, after the gas that
/// making an instance of it costs (8 bytes).
@c(weft_contract_instrument)
public func instrumentContract(
    _ module: UnsafeRawPointer?, _ count: UInt32
) -> UnsafeMutableRawPointer? {
    unsafe reply(to: module, count) { module throws(WasmRefusal) in
        let instrumented = try InstrumentedModule([UInt8](module))
        var answer: [UInt8] = []
        answer.appendLittleEndian(UInt64(instrumented.instantiationGas))
        return answer + instrumented.bytes
    }
}
