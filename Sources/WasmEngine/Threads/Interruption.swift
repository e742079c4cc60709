// How compiled code is broken off. In every loop, and wherever a function that calls others begins,
// it compares its gas with the global `weft:floor`; raised over all gas, that has it trap as if the
// gas had run out. Calling the host there instead, so that it gives more gas or does not, would
// cost a thirteenth of the speed, and half of it in loops over vectors: a call leaves no vector in
// a register.

import CWasmtime
import Synchronization

/// Ends the compiled code of one run, from any thread.
///
/// Wasmtime gives a store to one thread at a time, so that no two change its tables. Setting a
/// global of numbers changes none: as of version 50 it finds the global and writes eight bytes,
/// which the code that runs reads. A later version has to be looked at. A store that is gone is out
/// of reach: `end` comes first, and waits.
final class Interruption: Sendable {
    private struct Target: @unchecked Sendable {
        let library: WasmtimeLibrary
        let context: OpaquePointer?
        let floor: wasmtime_global_t

        func raise() {
            var floor = floor
            var value = wasmtime_val_t()
            value.kind = 1
            value.of.i64 = .max
            if let error = library.api.wasmtime_global_set(context, &floor, &value) {
                library.api.wasmtime_error_delete(error)
            }
        }
    }

    private struct State {
        var target: Target?
        var isRaised = false
    }

    private let state = Mutex(State())

    /// Whether the code was told to end: then it matters no more how it did.
    var isRaised: Bool { state.withLock { $0.isRaised } }

    /// Says where the floor of the run is, before its code begins.
    func begin(_ library: WasmtimeLibrary, context: OpaquePointer?, floor: wasmtime_global_t) {
        let target = Target(library: library, context: context, floor: floor)
        state.withLock { state in
            state.target = target
            if state.isRaised { target.raise() }
        }
    }

    /// Has the code end soon.
    func raise() {
        state.withLock { state in
            state.isRaised = true
            state.target?.raise()
        }
    }

    /// Says that the code has ended, before its store goes.
    func end() {
        state.withLock { $0.target = nil }
    }
}
