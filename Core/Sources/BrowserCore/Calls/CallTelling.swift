// Calls and records in words and parts, for pages and for those who run contracts.

import Compute
import IPLD
import Multiformats
import WasmRules
import Wire

extension CallResult {
    /// Who answered, what may be believed of it, what was paid, and then what was tried.
    var told: [String] {
        let before = isRemembered ? "answered before; " : ""
        return [responder.told, before + confidence.text, String(amount)] + trace.told
    }
}

extension Responder {
    /// The responder as in the header `weft-responder`.
    fileprivate var told: String { peer?.description ?? "self" }
}

extension [CallTrace] {
    /// Who was asked, and what came of it.
    var told: [String] { map { $0.responder.told + ": " + $0.outcome.text } }
}

extension CallError.Kind {
    /// The code of the error that a fetch fails with.
    var told: String {
        switch self {
        case .timedOut: "deadline"
        case .overLimit: "resource"
        case .disputed: "unverifiable"
        case .nobody, .allFailed, .tooFew: "unreachable"
        }
    }
}

extension CallBody {
    /// Bytes, and the CID of a body that is too long to be here.
    fileprivate var told: (bytes: [UInt8], cid: String) {
        switch self {
        case .inline(let bytes): (bytes, "")
        case .content(let cid): ([], cid.description)
        }
    }
}

extension CallHeaders {
    fileprivate var told: [UInt8] { lines(fields.map { $0.name + ": " + $0.value }) }
}

/// A call in parts: its URL, contract, gas, the CID of its body and its identity in lines; the HTTP
/// method; the path; the query; header lines; the body.
@c(weft_call_parts)
public func partsOfCall(
    _ call: UnsafeRawPointer?, _ count: UInt32
) -> UnsafeMutableRawPointer? {
    unsafe reply(to: call, count) { bytes throws(DecodeError) in
        let call = try Call(decoding: bytes)
        let body = call.body.told
        return joined([
            lines([
                call.url, call.contract.description, String(call.gas), body.cid,
                call.cid.description,
            ]),
            Array(call.method.utf8), Array(call.path.utf8), Array(call.query.utf8),
            call.headers.told, body.bytes,
        ])
    }
}

/// A record in parts: its CID, how it ended, its status, gas, own gas and the CID of its body in
/// lines; header lines; the body; what it read and the records below it, in lines; its call.
@c(weft_record_parts)
public func partsOfRecord(
    _ record: UnsafeRawPointer?, _ count: UInt32
) -> UnsafeMutableRawPointer? {
    unsafe reply(to: record, count) { bytes throws(DecodeError) in
        let record = try CallRecord(decoding: bytes)
        let body = (record.output?.body ?? .empty).told
        return joined([
            lines([
                record.cid.description, record.outcome.word,
                record.output.map { String($0.status) } ?? "", String(record.gas),
                String(record.ownGas), body.cid,
            ]),
            record.output?.headers.told ?? [], body.bytes,
            lines(record.reads.map { $0.description }),
            lines(record.children.map { $0.description }), record.call.encoded,
        ])
    }
}

/// The CID of version 1 in base32 that a text names.
@c(weft_cid)
public func canonicalCID(
    _ text: UnsafeRawPointer?, _ count: UInt32
) -> UnsafeMutableRawPointer? {
    unsafe reply(to: text, count) { text throws(DecodeError) in
        Array(try CID(utf8: text).v1.description.utf8)
    }
}

/// The blocks of a file, as nodes cut it: the text of its CID, then the binary CID and the bytes of
/// each block.
@c(weft_file_blocks)
public func blocksOfFile(
    _ content: UnsafeRawPointer?, _ count: UInt32
) -> UnsafeMutableRawPointer? {
    unsafe reply(to: content, count) { content throws(DecodeError) in
        var putting = Putting()
        var parts: [[UInt8]] = []
        putting.add(content) { parts += [$0.cid.bytes, $0.bytes] }
        let root = putting.finish { parts += [$0.cid.bytes, $0.bytes] }
        return joined([Array(root.description.utf8)] + parts)
    }
}
