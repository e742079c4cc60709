// One run of a contract, as the functions of the host see it: memory, gas, sources, response.

import CWasmtime
import Cryptography
import NIOCore
import WasmRules
import Wire

/// What is known of a run while it goes on. It belongs to the thread of the run.
final class Activation {
    /// Where bytes can be read from: the request, and the answers to fetches.
    private enum Source {
        case pending(any PendingAnswer, reserved: Int64)
        case answer(ContractAnswer)
    }

    let library: WasmtimeLibrary
    let request: ContractRequest
    let limits: RunLimits
    let control: RunControl
    /// Whether the contract is a program for WASI.
    let isProgram: Bool
    private let host: any ContractHost
    /// The store's context; nil while there is none.
    var context: OpaquePointer?
    var memory: wasmtime_memory_t?
    var gasGlobal = wasmtime_global_t()
    /// What ends its compiled code before its gas does; nil for a brief run, whose gas does soon.
    let interruption: Interruption?

    var response = ContractResponse(status: 200)
    private var headerBytes = 0
    /// How large the body may get in the memory that there is for it. So much is never counted.
    private var bodyRoom = 64 << 10
    /// The answers to fetches; the first has number 1.
    private var sources: [Source] = []
    /// How many of them, from the first on, have been waited for.
    private var settled = 0
    private(set) var calleeGas: Int64 = 0
    /// What is left of the gas that the call was given.
    private var left: Int64
    /// What is left of the gas that the run may use by itself.
    private var ownLeft: Int64
    /// Whether that is less than the call and the rules give it, because the run is to be brief.
    let isBrief: Bool
    /// What the contract's global was last known to hold: the less of both.
    private var lent: Int64 = 0
    private var seed: SeedStream
    /// Why the host ended the run.
    var exit: HostExit?
    /// What a program for WASI sees; nil until it asks.
    private(set) var usedWASI: WASIState?

    init(
        _ request: ContractRequest, isProgram: Bool, _ limits: RunLimits, _ control: RunControl,
        _ host: any ContractHost, _ library: WasmtimeLibrary
    ) {
        self.isProgram = isProgram
        self.request = request
        self.limits = limits
        self.control = control
        self.host = host
        self.library = library
        seed = SeedStream(request.seed)
        left = request.gas
        let ownGas = min(request.gas, GasSchedule.maxOwnGas)
        interruption = control.mayBlock ? Interruption() : nil
        isBrief = !control.mayBlock && ownGas > Engine.briefGas
        ownLeft = isBrief ? Engine.briefGas : ownGas
    }

    /// Lends the run that a call of the host belongs to.
    static func with<Result>(
        _ caller: OpaquePointer, _ library: WasmtimeLibrary, _ body: (Activation) -> Result
    ) -> Result? {
        guard let context = library.api.wasmtime_caller_context(caller),
            let data = library.api.wasmtime_context_get_data(context)
        else { return nil }
        return Unmanaged<Activation>.fromOpaque(data)._withUnsafeGuaranteedRef(body)
    }

    /// Remembers why the run ends, and gives the engine the trap that ends it.
    func trap(_ reason: HostExit) -> OpaquePointer? {
        exit = reason
        let message = "ended by the host"
        return library.api.wasmtime_trap_new(message, message.utf8.count)
    }
}

extension Activation {
    /// What a program for WASI sees.
    var wasi: WASIState {
        if let usedWASI { return usedWASI }
        let state = WASIState(request, isProgram: isProgram)
        usedWASI = state
        return state
    }
}

// MARK: - Gas and memory

extension Activation {
    /// The gas that is left of what the call was given.
    var gas: Int64 { left }

    /// Whether the run used more than it may.
    var isOverdrawn: Bool { min(left, ownLeft) < 0 }

    /// Takes off what the contract used since its global was set.
    func loadGas() {
        var value = wasmtime_val_t()
        library.api.wasmtime_global_get(context, &gasGlobal, &value)
        pay(unchecked: lent - value.of.i64)
        lent = value.of.i64
    }

    /// Puts what the contract may use into its global.
    func storeGas() {
        var value = wasmtime_val_t()
        value.kind = 1
        lent = min(left, ownLeft)
        value.of.i64 = lent
        if let error = library.api.wasmtime_global_set(context, &gasGlobal, &value) {
            library.api.wasmtime_error_delete(error)
        }
    }

    /// Takes off what something costs.
    func pay(_ price: Int64) throws(HostExit) {
        pay(unchecked: price)
        if isOverdrawn { throw .outOfGas }
    }

    private func pay(unchecked price: Int64) {
        left -= price
        ownLeft -= price
    }

    /// Sets gas aside for a callee.
    func reserve(_ gas: Int64) throws(HostExit) {
        guard gas <= left else { throw .outOfGas }
        left -= gas
    }

    /// What the run used with its callees. What did not end well costs all that it was given.
    func gasUsed(_ status: CallStatus) -> Int64 { status.gasUsed(of: request.gas, left: left) }

    /// Takes off the fixed part of a call of the host.
    func payCall() throws(HostExit) { try pay(GasSchedule.hostCall) }

    /// Takes off the part that depends on the bytes.
    func pay(bytes: Int) throws(HostExit) {
        try pay(Int64(bytes) >> GasSchedule.hostBytesShift)
    }

    /// How many bytes of memory the contract has; 0 if it exports none.
    var memorySize: Int {
        guard var memory else { return 0 }
        return library.api.wasmtime_memory_data_size(context, &memory)
    }

    /// A range of the contract's memory. One of no bytes is never outside.
    func range(_ address: Int, _ count: Int) throws(HostExit) -> UnsafeMutableRawBufferPointer {
        guard count > 0 else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        guard var memory, let base = library.api.wasmtime_memory_data(context, &memory) else {
            throw .trap("it exports no memory")
        }
        let size = library.api.wasmtime_memory_data_size(context, &memory)
        guard address <= size, count <= size - address else {
            throw .trap("a range lies outside of its memory")
        }
        return UnsafeMutableRawBufferPointer(start: base + address, count: count)
    }

    /// A text in the contract's memory.
    func text(_ address: Int, _ count: Int) throws(HostExit) -> String {
        guard let text = String(validating: try range(address, count), as: UTF8.self) else {
            throw .trap("a text is not UTF-8")
        }
        return text
    }

    /// Copies as much of `bytes` as fits into the contract's memory.
    func copy(_ bytes: some Collection<UInt8>, _ address: Int, _ count: Int) throws(HostExit) {
        try range(address, min(count, bytes.count)).copyBytes(from: bytes.prefix(count))
    }

    /// Fills a range with the next bytes of the call's seed, and takes off what they cost.
    func fillWithSeed(_ address: Int, _ count: Int) throws(HostExit) {
        try pay(Int64(count) * GasSchedule.seedByte)
        seed.fill(try range(address, count))
    }
}

// MARK: - Sources

extension Activation {
    /// The body of a source.
    func body(of source: Int32) throws(HostExit) -> Content {
        source == 0 ? request.body : try answer(source).body
    }

    /// The headers of a source.
    func headers(of source: Int32) throws(HostExit) -> [ContractHeader] {
        source == 0 ? request.headers : try answer(source).headers
    }

    /// The answer of a source that is not the request, waited for.
    func answer(_ source: Int32) throws(HostExit) -> ContractAnswer {
        let index = Int(source) - 1
        guard sources.indices.contains(index) else { throw .trap("there is no such source") }
        try settle(through: index)
        guard case .answer(let answer) = sources[index] else { throw .trap("it has no answer") }
        return answer
    }

    /// Begins a fetch; its gas has been paid but for the callee's.
    func fetch(_ fetch: ContractFetch, reserving reserved: Int64) throws(HostExit) -> Int32 {
        guard sources.count < Self.maxFetches else { throw .trap("it fetches too much") }
        do {
            sources.append(.pending(try host.begin(fetch), reserved: reserved))
        } catch is ContractMisuse {
            throw .trap("a URL or method is none that can be fetched")
        } catch {
            throw .failed(error)
        }
        return Int32(sources.count)
    }

    /// Waits for all answers up to one, in the order in which they were asked for.
    private func settle(through last: Int) throws(HostExit) {
        while settled <= last {
            guard case .pending(let pending, let reserved) = sources[settled] else { return }
            let answer: ContractAnswer
            do {
                answer = try pending.value()
            } catch {
                settled += 1
                throw .failed(error)
            }
            sources[settled] = .answer(answer)
            settled += 1
            calleeGas += answer.gas
            left += reserved - answer.gas
        }
    }

    /// Waits for what is still open at the end of the run.
    func settleAll() throws(HostExit) {
        try settle(through: sources.count - 1)
    }

    /// Lets go of what nobody waits for any more.
    func abandonRest() {
        for source in sources.dropFirst(settled) {
            if case .pending(let pending, _) = source { pending.abandon() }
        }
    }
}

// MARK: - The response

extension Activation {
    /// How many headers a response may have, and how many bytes they take together.
    static let maxHeaders = 32
    static let maxHeaderBytes = 8 << 10
    /// How much a contract may fetch.
    static let maxFetches = 4_096

    /// Sets a header of the response.
    func setHeader(_ name: String, _ value: String) throws(HostExit) {
        guard ContractHeader.isName(name), ContractHeader.isValue(value) else {
            throw .trap("a header is malformed")
        }
        let value = value.trimmedOfBlanks
        if let index = response.headers.firstIndex(where: { $0.name == name }) {
            headerBytes -= name.utf8.count + response.headers[index].value.utf8.count
            response.headers.remove(at: index)
        }
        headerBytes += name.utf8.count + value.utf8.count
        guard response.headers.count < Self.maxHeaders, headerBytes <= Self.maxHeaderBytes else {
            throw .trap("the response has too many headers")
        }
        let place = response.headers.firstIndex {
            name.utf8.lexicographicallyPrecedes($0.name.utf8)
        }
        response.headers.insert(
            ContractHeader(name, value), at: place ?? response.headers.endIndex)
    }

    /// Checks that the response may grow by some bytes.
    func reserveOutput(_ count: Int) throws(HostExit) {
        guard count <= limits.outputBytes - response.body.readableBytes else {
            throw .failed(ResourceFailure.output(limit: limits.outputBytes))
        }
        let size = response.body.readableBytes + count
        guard size > bodyRoom else { return }
        // Buffers grow by doubling.
        let room = max(size, 2 * bodyRoom)
        do {
            try host.hold(room - bodyRoom)
        } catch {
            throw .failed(error)
        }
        bodyRoom = room
    }
}

extension ContractHeader {
    /// Whether a text can be a header's name: up to 64 small letters, digits, `-` and `_`.
    static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// Whether a text can be a header's value: no control character but the tab.
    static func isValue(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f || $0 == 9 }
    }
}

/// The stream of bytes that stand for randomness: SHA-256 of the seed and a counter.
struct SeedStream {
    /// The seed, and the number of the next block.
    private var message: [UInt8]
    private var block: [UInt8] = []
    /// How much of the block has been given.
    private var position = 0
    private var counter: UInt64 = 0

    init(_ seed: [UInt8]) { message = seed + [UInt8](repeating: 0, count: 8) }

    mutating func fill(_ target: UnsafeMutableRawBufferPointer) {
        var done = 0
        while done < target.count {
            if position == block.count { makeBlock() }
            let part = block[position...].prefix(target.count - done)
            UnsafeMutableRawBufferPointer(rebasing: target[done...]).copyBytes(from: part)
            position += part.count
            done += part.count
        }
    }

    private mutating func makeBlock() {
        for place in 0..<8 {
            message[message.count - 8 + place] = UInt8(truncatingIfNeeded: counter >> (8 * place))
        }
        var hash = SHA256()
        hash.update(message.rawSpan)
        block = hash.finalize()
        counter += 1
        position = 0
    }
}
