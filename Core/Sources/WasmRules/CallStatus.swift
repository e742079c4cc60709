// How a call ended, said the same way by every engine.

/// The outcome of running an instrumented module. The numbers are those of the exported status.
public enum CallStatus: Int32, Hashable, Sendable {
    /// It came to its end.
    case ok = 0
    /// It used up its gas.
    case outOfGas = 1
    /// It called more deeply than contracts may.
    case stackExhausted = 2
    /// The machine could not give the memory that the rules grant: no result, and nobody's fault.
    case resource = 3
    /// It did what WebAssembly forbids, as dividing by zero.
    case trap = 4

    /// The outcome that the exported globals tell.
    ///
    /// - Parameters:
    ///   - trapped: whether the engine ended the call by a trap.
    ///   - status: the module's `weft:status`.
    ///   - gas: the module's `weft:gas`. It may be negative after a call that came to its end.
    public init(trapped: Bool, status: Int32, gas: Int64) {
        switch (trapped, status) {
        case (false, _): self = gas < 0 ? .outOfGas : .ok
        case (true, Self.outOfGas.rawValue): self = .outOfGas
        case (true, Self.stackExhausted.rawValue): self = .stackExhausted
        case (true, Self.resource.rawValue): self = .resource
        default: self = .trap
        }
    }

    /// The gas that a call with this outcome used. Whatever ends early costs all that it was given:
    /// what was left when it ended is not known to the same unit on every engine.
    public func gasUsed(of limit: Int64, left: Int64) -> Int64 {
        self == .ok ? limit - left : limit
    }
}
