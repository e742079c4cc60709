// The calls about what stays: pin add|rm|ls|update|verify.

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
        router.call("/api/v0/pin/update") { call in try await pinUpdate(call) }
        router.call("/api/v0/pin/verify") { call in try await pinVerify(call) }
    }

    /// Keeps content in place of other content, under the same name.
    private func pinUpdate(_ call: APIRequest) async throws -> ServerResponse {
        let paths = try call.atLeastOne("from-path")
        guard paths.count == 2 else {
            throw APIError.badArgument("two paths are needed: the pinned and the new one")
        }
        let old = try await locateBlock(paths[0], call)
        let new = try await locateBlock(paths[1], call)
        guard case .recursive(let name) = try await node.store.isPinned(old) else {
            throw APIError(
                "'\(old)' is not pinned recursively", status: .internalServerError)
        }
        let deadline = try call.limits(node.configuration).deadline
        try await Deadline.within(deadline) {
            try await node.pin(new, .recursive, name: name)
        }
        if try call.flag("unpin", or: true), old.v1 != new.v1 { try await node.store.unpin(old) }
        return APIAnswer.json([
            "Pins": .list([.string(old.description), .string(new.description)])
        ])
    }

    /// Says which recursive pins are not all here, or not sound.
    private func pinVerify(_ call: APIRequest) async throws -> ServerResponse {
        let isVerbose = try call.flag("verbose")
        let isQuiet = try call.flag("quiet", "q")
        let pins = try await node.store.pins().filter { $0.kind == .recursive }
        return APIAnswer.lines { emit in
            let local = LocalBlocks(node.store)
            for pin in pins {
                var bad: [Value] = []
                var walk = DAGWalk(root: pin.cid, scope: .all, repeats: .omitted)
                while case .block(let cid) = walk.next() {
                    do {
                        let block = try await local.block(cid)
                        try cid.hash.verify(block.readableBytesSpan)
                        try walk.supply(block.readableBytesSpan)
                    } catch {
                        bad.append(
                            .object([
                                "Cid": .string(cid.description),
                                "Err": .string(APIError(error).message),
                            ]))
                        break
                    }
                }
                guard isVerbose || isQuiet || !bad.isEmpty else { continue }
                guard !isQuiet || !bad.isEmpty else { continue }
                try await emit(
                    .object([
                        "Cid": .string(pin.cid.description), "Ok": .bool(bad.isEmpty),
                        "BadNodes": bad.isEmpty ? nil : .list(bad),
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
