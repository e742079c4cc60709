// The lines of a trace that tell about peers: one for each peer that was asked, one for each search
// for providers.

import Exchange
import IPLD
import Multiformats
import NodeCore

/// The lines of a trace that tell about peers.
struct PeerLines {
    private struct Line {
        let mark: Trace.Mark
        var blocks = 0
        var bytes: UInt64 = 0
        /// What it answered besides.
        var remark: String?
    }

    private let trace: Trace
    private var lines: [PeerID: Line] = [:]
    private var search: Trace.Mark?

    init(_ trace: Trace) { self.trace = trace }

    /// How many peers were asked.
    var count: Int { lines.count }

    /// A peer brought blocks.
    mutating func brought(_ blocks: [ReceivedBlock], _ peer: PeerID) {
        lines[peer]?.blocks += blocks.count
        lines[peer]?.bytes += blocks.reduce(0) { $0 + UInt64($1.bytes.count) }
        write(peer)
    }

    mutating func note(_ news: NodeCore.SessionNews) {
        switch news {
        case .searching(let cid):
            search = trace.begin(.routing, "providers of \(cid)", peer: "DHT")
        case .searched(let count):
            guard let mark = search else { return }
            trace.end(mark, "\(count) providers", succeeded: count > 0)
            search = nil
        case .peer(let peer, let news): note(news, of: peer)
        }
    }

    private mutating func note(_ news: BlockExchange.News, of peer: PeerID) {
        switch news {
        case .asked(let cid):
            guard lines[peer] == nil else { return }
            lines[peer] = Line(
                mark: trace.begin(.provider, "blocks, first \(cid)", peer: "\(peer)"))
        case .lacks(let cid, .answer): remark("it does not have \(cid)", on: peer)
        case .lacks(let cid, .silence): remark("no answer about \(cid)", on: peer)
        case .busy(let pause): remark("it asks to wait \(pause.wholeMilliseconds) ms", on: peer)
        case .brokeRules(let violation): remark(Self.text(of: violation), on: peer)
        case .unreachable(let fault):
            if lines[peer] == nil {
                lines[peer] = Line(
                    mark: trace.begin(.provider, "a stream for blocks", peer: "\(peer)"))
            }
            remark("\(fault)", on: peer)
        }
    }

    private static func text(of violation: BlockExchange.Violation) -> String {
        switch violation {
        case .malformed(let error): "not what was asked for: \(error)"
        case .unaskedBlock(let cid): "wrong bytes: they are \(cid), which nobody asked for"
        }
    }

    private mutating func remark(_ text: String, on peer: PeerID) {
        lines[peer]?.remark = text
        write(peer)
    }

    private func write(_ peer: PeerID) {
        guard let line = lines[peer] else { return }
        let brought = line.blocks > 0 ? "\(line.blocks) blocks" : nil
        trace.end(
            line.mark, [brought, line.remark].compactMap(\.self).joined(separator: ", then: "),
            succeeded: line.blocks > 0, bytes: line.bytes)
    }

    /// Says of those who have not answered why that was all.
    mutating func conclude(_ reason: String) {
        for (peer, line) in lines where line.blocks == 0 && line.remark == nil {
            remark(reason, on: peer)
        }
        if let search { trace.end(search, reason, succeeded: false) }
        search = nil
    }
}
