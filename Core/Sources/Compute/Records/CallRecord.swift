// A call record: what one activation was asked, what it answered, what that cost, what it read and
// which calls it made. The records of a call form a Merkle tree, of which each node can be checked
// alone with the recorded results of those below it.

public import IPLD
public import Multiformats
public import Wire

/// How an activation ended. That a machine lacks memory or content is no outcome: then there is no
/// record.
public enum Outcome: UInt8, Hashable, Sendable, CaseIterable {
    /// It answered.
    case ok = 0
    /// It used up its gas.
    case outOfGas = 1
    /// It called its own functions more deeply than contracts may.
    case stackExhausted = 2
    /// It did what WebAssembly or the host's functions forbid.
    case trap = 3
}

extension Outcome {
    /// How it ended, in a word.
    public var word: String {
        switch self {
        case .ok: "ok"
        case .outOfGas: "out-of-gas"
        case .stackExhausted: "stack-exhausted"
        case .trap: "trap"
        }
    }
}

/// What an activation answered.
public struct CallOutput: Hashable, Sendable {
    /// The status, as HTTP has it: 200 to 599.
    public let status: UInt16
    /// The response's headers.
    public let headers: CallHeaders
    /// The response's body.
    public let body: CallBody

    /// An answer; nil if the status is none or a body in it is too long.
    public init?(status: UInt16 = 200, headers: CallHeaders = CallHeaders(), body: CallBody) {
        guard 200...599 ~= status else { return nil }
        if case .inline(let bytes) = body, bytes.count > CallLimits.maxInlineBytes { return nil }
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// What is known of one activation when it is over. Like a ``Call``, it is encoded and hashed once.
public struct CallRecord: Sendable {
    private let parts: RecordParts

    /// The record as a block of dag-cbor. Its CID is what parents and headers name.
    public var block: EncodedBlock { parts.block }
    /// What was asked.
    public var call: Call { parts.call }
    /// How it ended.
    public var outcome: Outcome { parts.outcome }
    /// What was answered; nil if, and only if, the outcome is not ``Outcome/ok``.
    public var output: CallOutput? { parts.output }
    /// The gas of this activation and all that it called. What does not end well costs all that it
    /// was given.
    public var gas: UInt64 { parts.gas }
    /// The gas of this activation alone.
    public var ownGas: UInt64 { parts.ownGas }
    /// What content it read, in the order of the first access; nothing twice.
    public var reads: [CID] { parts.reads }
    /// The records of the calls that it made, in the order in which it started them.
    public var children: [CID] { parts.children }

    /// The record of an activation.
    ///
    /// - Throws: ``RecordFault`` if its parts contradict each other.
    public init(
        _ call: Call, outcome: Outcome, output: CallOutput?, gas: UInt64, ownGas: UInt64,
        reads: [CID] = [], children: [CID] = []
    ) throws(RecordFault) {
        guard (outcome == .ok) == (output != nil) else { throw .output }
        guard ownGas <= gas, gas <= call.gas, outcome == .ok || gas == call.gas,
            !children.isEmpty || gas == ownGas
        else { throw .gas }
        guard reads.count <= CallLimits.maxReads, Set(reads).count == reads.count,
            reads.reduce(0, { $0 + $1.bytes.count }) <= CallLimits.maxReadNameBytes
        else { throw .reads }
        guard children.count <= CallLimits.maxChildren,
            children.allSatisfy({
                $0.codec == .dagCBOR && $0.hash.code == .sha2_256 && $0.hash.digest.count == 32
            })
        else { throw .children }
        parts = RecordParts(call, outcome, output, gas, ownGas, reads.map { $0.v1 }, children)
    }
}

extension CallRecord: Hashable {
    public static func == (left: Self, right: Self) -> Bool {
        left.parts === right.parts || left.cid == right.cid
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(cid) }
}

/// What all copies of a record share.
private final class RecordParts: Sendable {
    let call: Call
    let outcome: Outcome
    let output: CallOutput?
    let gas: UInt64
    let ownGas: UInt64
    let reads: [CID]
    let children: [CID]
    let block: EncodedBlock

    init(
        _ call: Call, _ outcome: Outcome, _ output: CallOutput?, _ gas: UInt64, _ ownGas: UInt64,
        _ reads: [CID], _ children: [CID]
    ) {
        self.call = call
        self.outcome = outcome
        self.output = output
        self.gas = gas
        self.ownGas = ownGas
        self.reads = reads
        self.children = children
        var map = CanonicalWriter(fields: 7)
        map.write("gas", gas)
        map.write("own", ownGas)
        map.write("call", encoded: call.encoded)
        map.write("reads", reads)
        map.write("output", encoded: CallOutput.encoded(output))
        map.write("outcome", UInt64(outcome.rawValue))
        map.write("children", children)
        block = EncodedBlock(map.bytes, codec: .dagCBOR)
    }
}

/// What is wrong with a record, or with a record next to those of its children.
public enum RecordFault: Error, Hashable, Sendable {
    /// There is an output without a good end, or the other way round.
    case output
    /// The gas is more than was given, or its parts do not make the whole.
    case gas
    /// It read more than it may, or names something twice.
    case reads
    /// There are more calls than there may be, or other ones than were recorded.
    case children
}

extension RecordFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .output: "the record has an output and no good end, or a good end and no output"
        case .gas: "the record's gas exceeds its limit, or does not add up"
        case .reads: "the record names too much content, or the same twice"
        case .children: "the record's calls are too many, or not those that were recorded"
        }
    }
}

extension CallRecord {
    /// The name of the record.
    public var cid: CID { block.cid }

    /// The canonical dag-cbor.
    public var encoded: [UInt8] { block.bytes }

    /// Decodes the canonical dag-cbor of a record, at most ``CallLimits/maxRecordBytes``.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= CallLimits.maxRecordBytes else {
            throw DecodeError(.overLimit, "call record: longer than 512 KiB")
        }
        try self.init(bytes, of: nil)
    }

    /// The result without the call, as a responder sends it: the caller knows what it asked, and
    /// puts it in itself.
    public var result: [UInt8] {
        var map = CanonicalWriter(fields: 6)
        map.write("gas", gas)
        map.write("own", ownGas)
        map.write("reads", reads)
        map.write("output", encoded: CallOutput.encoded(output))
        map.write("outcome", UInt64(outcome.rawValue))
        map.write("children", children)
        return map.bytes
    }

    /// The record of `call` with a result that somebody sent.
    public init(result bytes: RawSpan, of call: Call) throws(DecodeError) {
        guard bytes.byteCount <= CallLimits.maxRecordBytes else {
            throw DecodeError(.overLimit, "call record: longer than 512 KiB")
        }
        try self.init(bytes, of: call)
    }

    /// Reads a record, or a result of `known`.
    private init(_ bytes: RawSpan, of known: Call?) throws(DecodeError) {
        var reader = CanonicalReader(bytes)
        try reader.map(fields: known == nil ? 7 : 6)
        let gas = try reader.number("gas", upTo: CallLimits.maxGas)
        let ownGas = try reader.number("own", upTo: CallLimits.maxGas)
        let call: Call
        if let known {
            call = known
        } else {
            try reader.key("call")
            call = try Call(&reader)
        }
        let reads = try reader.links("reads", upTo: CallLimits.maxReads)
        let output = try reader.null("output") ? nil : try CallOutput(&reader)
        let number = try reader.number("outcome", upTo: UInt64(UInt8.max))
        guard let outcome = Outcome(rawValue: UInt8(number)) else {
            throw DecodeError(.malformed, "call record: an outcome that there is not")
        }
        let children = try reader.links("children", upTo: CallLimits.maxChildren)
        try reader.end()
        do throws(RecordFault) {
            try self.init(
                call, outcome: outcome, output: output, gas: gas, ownGas: ownGas, reads: reads,
                children: children)
        } catch {
            throw DecodeError(.malformed, "call record: its parts contradict each other")
        }
    }
}

extension CallOutput {
    /// The canonical dag-cbor of an output, or of null where there is none.
    static func encoded(_ output: CallOutput?) -> [UInt8] {
        guard let output else { return [0xf6] }
        var map = CanonicalWriter(fields: 3)
        map.write("body", output.body)
        map.write("status", UInt64(output.status))
        map.write("headers", output.headers)
        return map.bytes
    }

    fileprivate init(_ reader: inout CanonicalReader) throws(DecodeError) {
        try reader.map(fields: 3)
        let body = try reader.body("body")
        let status = try reader.number("status", upTo: 599)
        guard
            let output = CallOutput(
                status: UInt16(status), headers: try reader.headers("headers"), body: body)
        else { throw DecodeError(.malformed, "call record: a status that there is not") }
        self = output
    }
}
