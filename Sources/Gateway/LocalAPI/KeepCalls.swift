// The calls about what stays: pin add|rm|ls, repo stat|gc|verify|version, and our own stat, gc
// and check.

import BlockStore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import Multiformats
import NIOCore
import Weft

extension LocalServices {
    func addPinRoutes(to router: Router<LocalContext>) {
        router.call("/api/v0/pin/add") { call in try await pinAdd(call) }
        router.call("/api/v0/pin/rm") { call in
            var removed: [Value] = []
            for path in try call.atLeastOne("ipfs-path") {
                let cid = try await locateBlock(path, call)
                try await node.store.unpin(cid)
                removed.append(.string(cid.description))
            }
            return APIAnswer.json(["Pins": .list(removed)])
        }
        router.call("/api/v0/pin/ls") { call in try await pinList(call) }
    }

    func addRepoRoutes(to router: Router<LocalContext>) {
        router.call("/api/v0/repo/stat") { _ in
            let statistics = node.store.statistics()
            return APIAnswer.json([
                "RepoSize": .number(statistics.usedBytes),
                "StorageMax": .number(statistics.maxBytes),
                "NumObjects": .number(statistics.blocks),
                "RepoPath": .string(node.repository.directory),
                "Version": .string("weft-repo@\(Repository.version)"),
            ])
        }
        router.call("/api/v0/repo/version") { _ in
            APIAnswer.json(["Version": .string(String(Repository.version))])
        }
        router.call("/api/v0/repo/gc") { _ in
            // Kubo names each block that it removed; the store frees whole ranges and counts.
            APIAnswer.lines { _ in try await node.store.collect(.everything) }
        }
        router.call("/api/v0/repo/verify") { _ in
            APIAnswer.lines { emit in
                let report = try await node.store.check(.report)
                for problem in report.problems {
                    try await emit(.object(["Msg": .string(problem), "Progress": .number(0)]))
                }
                try await emit(
                    .object(["Msg": .string(""), "Progress": .number(report.verified)]))
                guard report.isClean else {
                    throw APIError("verify found problems", status: .internalServerError)
                }
            }
        }
    }

    func addOwnRepoRoutes(to router: Router<LocalContext>) {
        router.call("/weft/v1/stat") { _ in
            let statistics = node.store.statistics()
            return APIAnswer.json([
                "path": .string(node.repository.directory),
                "version": .number(Repository.version),
                "blocks": .number(statistics.blocks), "bytes": .number(statistics.usedBytes),
                "max": .number(statistics.maxBytes), "pins": .number(statistics.pins),
                "segments": .number(statistics.segments),
            ])
        }
        router.call("/weft/v1/gc") { _ in
            let report = try await node.store.collect(.everything)
            return APIAnswer.json([
                "blocks": .number(report.blocks), "bytes": .number(report.bytes),
            ])
        }
        router.call("/weft/v1/check") { call in
            let repair = try call.flag("repair")
            return APIAnswer.lines { emit in
                let report = try await WorkEvents.follow(emit) { events in
                    try await node.store.check(repair ? .repair : .report) { progress in
                        events.tell(
                            progress: .object([
                                "bytes": .number(progress.bytes),
                                "total": .number(progress.total),
                            ]))
                    }
                }
                for problem in report.problems {
                    try await emit(.object(["problem": .string(problem)]))
                }
                try await emit(
                    .object([
                        "checked": .number(report.verified),
                        "damaged": .number(report.problems.count),
                        "repaired": .bool(report.repaired),
                        "ok": .bool(report.isClean || report.repaired),
                        "rebuild": report.indexDamage == nil ? nil : .bool(true),
                    ]))
            }
        }
    }

    private func pinAdd(_ call: APIRequest) async throws -> ServerResponse {
        let paths = try call.atLeastOne("ipfs-path")
        let kind: Pin.Kind = try call.flag("recursive", "r", or: true) ? .recursive : .direct
        let name = call["name"] ?? call["n"] ?? ""
        var cids: [CID] = []
        for path in paths { cids.append(try await locateBlock(path, call)) }
        let pins = Value.list(cids.map { .string($0.description) })
        let deadline = try call.limits(node.configuration).deadline
        guard try call.flag("progress") else {
            try await Deadline.within(deadline) { [cids] in
                for cid in cids { try await node.pin(cid, kind, name: name) }
            }
            return APIAnswer.json(["Pins": pins])
        }
        return APIAnswer.lines { [cids] emit in
            try await emit(.object(["Progress": .number(0)]))
            try await WorkEvents.follow(emit) { events in
                try await Deadline.within(deadline) {
                    for cid in cids {
                        try await node.pin(cid, kind, name: name) { progress in
                            events.tell(
                                progress: .object([
                                    "Progress": .number(progress.blocks),
                                    "Bytes": .number(progress.bytes),
                                ]))
                        }
                    }
                }
            }
            try await emit(.object(["Pins": pins]))
        }
    }

    private func pinList(_ call: APIRequest) async throws -> ServerResponse {
        let type = call["type"] ?? call["t"] ?? "all"
        guard ["all", "recursive", "direct", "indirect", "roots"].contains(type) else {
            throw APIError.badArgument(
                "type must be all, recursive, direct or indirect, not '\(type)'")
        }
        let named = try call.flag("names") || call["name"] != nil
        let found =
            call.all.isEmpty
            ? try await allPins(type, matching: call["name"])
            : try await pins(of: call.all, type, call)
        if try call.flag("stream", "s") {
            return APIAnswer.lines { emit in
                for pin in found {
                    try await emit(
                        .object([
                            "Cid": .string(pin.cid.description), "Type": .string(pin.type),
                            "Name": named && !pin.name.isEmpty ? .string(pin.name) : nil,
                        ]))
                }
            }
        }
        let keys = found.map { pin in
            Value.Entry(
                pin.cid.description,
                .object([
                    "Type": .string(pin.type), "Name": .string(named ? pin.name : ""),
                ]))
        }
        return APIAnswer.json(["Keys": .map(keys)])
    }

    private struct ListedPin {
        let cid: CID
        let type: String
        let name: String
    }

    private func pins(
        of paths: [String], _ type: String, _ call: APIRequest
    ) async throws -> [ListedPin] {
        var found: [ListedPin] = []
        for path in paths {
            let cid = try await locateBlock(path, call)
            let reason = try await node.store.isPinned(cid)
            let pin: ListedPin? =
                switch reason {
                case nil: nil
                case .direct(let name): ListedPin(cid: cid, type: "direct", name: name)
                case .recursive(let name): ListedPin(cid: cid, type: "recursive", name: name)
                case .indirect: ListedPin(cid: cid, type: "indirect", name: "")
                }
            guard let pin, type == "all" || type == "roots" || type == pin.type else {
                throw APIError("path '\(path)' is not pinned", status: .internalServerError)
            }
            found.append(pin)
        }
        return found
    }

    private func allPins(_ type: String, matching part: String?) async throws -> [ListedPin] {
        var found: [ListedPin] = []
        var roots: Set<CID> = []
        let pins = try await node.store.pins()
        for pin in pins {
            roots.insert(pin.cid)
            let name = pin.kind == .recursive ? "recursive" : "direct"
            guard type != "indirect", type == "all" || type == "roots" || type == name,
                part.map({ pin.name.contains($0) }) ?? true
            else { continue }
            found.append(ListedPin(cid: pin.cid, type: name, name: pin.name))
        }
        guard part == nil, type == "all" || type == "indirect" else { return found }
        // Blocks that a pin holds because of what it links to.
        let local = LocalBlocks(node.store)
        var seen = roots
        for pin in pins where pin.kind == .recursive {
            var walk = DAGWalk(root: pin.cid, scope: .all, repeats: .omitted)
            while case .block(let cid) = walk.next() {
                let block = try await local.block(cid)
                try walk.supply(block.readableBytesSpan)
                if seen.insert(cid).inserted {
                    found.append(ListedPin(cid: cid, type: "indirect", name: ""))
                }
            }
        }
        return found
    }
}

extension CheckReport {
    /// Each thing that is wrong, in words.
    var problems: [String] {
        rotten.map { "the block \($0) does not match its hash" }
            + lost.map { "the block \($0) is in the index and nowhere else" }
            + misplaced.map { "the index has a wrong place for the block \($0)" }
            + (unindexed == 0 ? [] : ["the index lacks \(unindexed) blocks that are here"])
            + forgottenPins.map { "the index or the journal lacks the pin of \($0)" }
            + missing.map { "the pinned block \($0) is missing; pin it again to fetch it" }
            + changedFiles.map { "the file '\($0)' was added in place and has changed" }
            + (indexDamage.map { ["the index is damaged: \($0)"] } ?? [])
    }
}
