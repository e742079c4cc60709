// What binds calls that peers ask for, beyond what binds every call: they name nothing that this
// node denies, and all together they read no more than one call of this node may.

import Compute
import Multiformats
import Synchronization
import WasmEngine

/// A call names, or reads, what this node does not serve.
struct DeniedContent: Error, CustomStringConvertible {
    let cid: CID
    var description: String { "\(cid) is not served here" }
}

/// The rules of calls for peers.
final class PeerCallRules: Sendable {
    private let mesh: Mesh
    private let maxBytes: Int64
    private let bytes = Atomic<Int64>(0)

    /// Rules by which all peers' calls under way read so many bytes together.
    init(_ mesh: Mesh, maxBytes: UInt64) {
        self.mesh = mesh
        self.maxBytes = Int64(clamping: maxBytes)
    }

    /// Whether peers may have something.
    func admit(_ cid: CID) throws(DeniedContent) {
        guard mesh.mayGive(cid) else { throw DeniedContent(cid: cid) }
    }

    /// Looks at everything that a call names by itself.
    func admit(_ call: Call) throws(DeniedContent) {
        try admit(call.contract)
        if case .content(let body) = call.body { try admit(body) }
        if let directory = call.directory { try admit(directory) }
    }

    /// Looks at what a result rests on, which was computed at any time.
    func admit(_ record: CallRecord) throws(DeniedContent) {
        for cid in record.reads { try admit(cid) }
        if case .content(let body)? = record.output?.body { try admit(body) }
    }

    /// Counts bytes that a call reads. Returns whether that was within what there is.
    func take(_ count: Int64) -> Bool {
        bytes.add(count, ordering: .relaxed).newValue <= maxBytes
    }

    /// A call is over that had read so much.
    func giveBack(_ count: Int64) { bytes.subtract(count, ordering: .relaxed) }
}

extension Call {
    /// What a program for WASI sees as its directory, if the call names any.
    var directory: CID? {
        var text = header("weft-dir")
        if text == nil, query.utf8.contains(UInt8(ascii: "=")) { text = QueryItems(query)["dir"] }
        return text.flatMap { try? CID(text: $0) }?.v1
    }
}

extension Computation {
    /// Whether a call may be run for peers.
    func admits(_ call: Call) -> Bool {
        do throws(DeniedContent) {
            try peerRules?.admit(call)
            return true
        } catch {
            return false
        }
    }

    /// A result, if peers may have it.
    func admitted(_ record: CallRecord) -> CallRecord? {
        do throws(DeniedContent) {
            try peerRules?.admit(record)
            return record
        } catch {
            return nil
        }
    }
}
