// Evidence: what proves to anybody that a peer has lied, in one file. It needs nothing but itself,
// and for a wrong answer the contract (and the content that the activation read).

public import Multiformats
public import Wire

/// A proof that a peer has lied.
public enum Evidence: Hashable, Sendable {
    /// A signed answer that a replay refutes.
    case wrongAnswer(WrongAnswer)
    /// Two signed answers to one call that differ: at least one of them is wrong.
    case contradiction(CallAnswer, CallAnswer)
    /// Two receipts that its signer has put in the same place of its chain.
    case fork(PeerID, Receipt, Receipt)

    /// The longest file, in bytes.
    public static let maxBytes = 8 << 20

    /// What kind of proof it is, as the file says it.
    public var kind: String {
        switch self {
        case .wrongAnswer: "wrong-answer"
        case .contradiction: "contradiction"
        case .fork: "fork"
        }
    }

    /// Who is accused.
    public var accused: PeerID {
        switch self {
        case .wrongAnswer(let wrong): wrong.answer.header.responder
        case .contradiction(let answer, _): answer.header.responder
        case .fork(let peer, _, _): peer
        }
    }
}

/// An answer with the way from its record down to one activation.
public struct WrongAnswer: Hashable, Sendable {
    /// What was signed and revealed.
    public let answer: CallAnswer
    /// Which child leads on, at each record from the top.
    public let path: [UInt32]
    /// The records on the way below the top, and those of the last one's children. In any order:
    /// they are found by their CIDs.
    public let records: [CallRecord]

    /// An answer whose record holds an activation that a replay refutes.
    public init(_ answer: CallAnswer, path: [UInt32], records: [CallRecord]) {
        self.answer = answer
        self.path = path
        self.records = records
    }
}

/// Why a file proves nothing.
public enum EvidenceFault: Error, Hashable, Sendable {
    /// A signature is not the accused one's.
    case signature
    /// The parts do not belong together.
    case unrelated
    /// What is shown is no contradiction.
    case consistent
    /// A record on the way to the activation is not in the file.
    case incomplete
}

extension EvidenceFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .signature: "the evidence holds something that the accused peer has not signed"
        case .unrelated: "the parts of the evidence do not belong together"
        case .consistent: "what the evidence shows is no contradiction"
        case .incomplete: "a record on the way to the accused activation is missing"
        }
    }
}

/// What is left to be done for a verdict.
public enum EvidenceVerdict: Hashable, Sendable {
    /// The peer has lied; nothing need be run.
    case proven
    /// The peer has lied if this replay refutes the record, and has not if it does not.
    case dependsOn(ReplayOrder)
}

extension Evidence {
    /// Looks at everything that can be known without running anything.
    public func examine() throws(EvidenceFault) -> EvidenceVerdict {
        switch self {
        case .wrongAnswer(let wrong): return try wrong.examine()
        case .contradiction(let one, let two):
            guard one.fits, two.fits, one.header.responder == two.header.responder,
                one.record.call == two.record.call
            else { throw .unrelated }
            guard one.record != two.record else { throw .consistent }
            guard one.header.isValid, two.header.isValid else { throw .signature }
        case .fork(let peer, let one, let two):
            guard let first = one.entry(of: peer), let second = two.entry(of: peer),
                first.position.sequence == second.position.sequence
            else { throw .unrelated }
            guard first.hash != second.hash else { throw .consistent }
            guard one.isSigned(by: peer), two.isSigned(by: peer) else { throw .signature }
        }
        return .proven
    }
}

extension WrongAnswer {
    func examine() throws(EvidenceFault) -> EvidenceVerdict {
        guard answer.fits, path.count < CallLimits.maxDepth else { throw .unrelated }
        guard answer.header.isValid else { throw .signature }
        var known = [CID: CallRecord]()
        for record in records { known[record.cid] = record }
        var record = answer.record
        for index in path {
            guard index < UInt32(record.children.count) else { throw .unrelated }
            guard let next = known[record.children[Int(index)]] else { throw .incomplete }
            record = next
        }
        var children: [CallRecord] = []
        for cid in record.children {
            guard let child = known[cid] else { throw .incomplete }
            children.append(child)
        }
        do throws(RecordFault) {
            return .dependsOn(try ReplayOrder(record, children: children))
        } catch {
            // Its own numbers contradict those of its children.
            return .proven
        }
    }
}

// MARK: The file

extension Evidence {
    /// The file: canonical dag-cbor.
    public var encoded: [UInt8] {
        var map = CanonicalWriter(fields: 3)
        map.write("kind", kind)
        switch self {
        case .wrongAnswer(let wrong): wrong.write(as: "parts", into: &map)
        case .contradiction(let one, let two):
            map.list("parts", count: 2)
            one.write(into: &map)
            two.write(into: &map)
        case .fork(let peer, let one, let two):
            map.list("parts", count: 3)
            map.append(peer.bytes)
            one.write(into: &map)
            two.write(into: &map)
        }
        map.write("weft-evidence", 1)
        return map.bytes
    }

    /// Reads a file, without believing it.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= Self.maxBytes else {
            throw DecodeError(.overLimit, "evidence: longer than 8 MiB")
        }
        var reader = CanonicalReader(bytes)
        try reader.map(fields: 3)
        let kind = Array(try reader.text("kind").utf8)
        let count = try reader.list("parts", upTo: 3)
        switch (kind.count, count) {
        case (12, 3) where kind.elementsEqual("wrong-answer".utf8):
            self = .wrongAnswer(try WrongAnswer(&reader))
        case (13, 2) where kind.elementsEqual("contradiction".utf8):
            self = .contradiction(try CallAnswer(&reader), try CallAnswer(&reader))
        case (4, 3) where kind.elementsEqual("fork".utf8):
            self = .fork(try reader.peer(), try Receipt(&reader), try Receipt(&reader))
        default: throw DecodeError(.unsupported, "evidence: of a kind that is not known")
        }
        guard try reader.number("weft-evidence") == 1 else {
            throw DecodeError(.unsupported, "evidence: a version that is not known")
        }
        try reader.end()
    }
}

extension WrongAnswer {
    fileprivate func write(as name: StaticString, into map: inout CanonicalWriter) {
        map.list(name, count: 3)
        answer.write(into: &map)
        map.list(count: path.count)
        for step in path { map.append(UInt64(step)) }
        map.list(count: records.count)
        for record in records { map.append(record.encoded) }
    }

    fileprivate init(_ reader: inout CanonicalReader) throws(DecodeError) {
        let answer = try CallAnswer(&reader)
        var path: [UInt32] = []
        for _ in 0..<(try reader.list(upTo: CallLimits.maxDepth - 1)) {
            path.append(UInt32(try reader.number(upTo: UInt64(CallLimits.maxChildren) - 1)))
        }
        var records: [CallRecord] = []
        let most = CallLimits.maxChildren + CallLimits.maxDepth
        for _ in 0..<(try reader.list(upTo: most)) {
            let record = try reader.bytes(count: 1...CallLimits.maxRecordBytes)
            records.append(try CallRecord(decoding: record.rawSpan))
        }
        self.init(answer, path: path, records: records)
    }
}

extension CallAnswer {
    fileprivate func write(into map: inout CanonicalWriter) {
        map.map(fields: 3)
        map.write("salt", salt)
        map.write("record", record.encoded)
        map.key("signed")
        header.write(into: &map)
    }

    fileprivate init(_ reader: inout CanonicalReader) throws(DecodeError) {
        try reader.map(fields: 3)
        let saltBytes = CallProtocol.saltBytes
        let salt = try reader.bytes("salt", count: saltBytes...saltBytes)
        let bytes = try reader.bytes("record", count: 1...CallLimits.maxRecordBytes)
        let record = try CallRecord(decoding: bytes.rawSpan)
        try reader.key("signed")
        self.init(try SignedHeader(&reader), salt: salt, record: record)
    }
}
