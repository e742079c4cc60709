// The calls about blocks and linked data: dag get|put|export|import|stat|resolve,
// block get|put|stat|rm.

import BlockStore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import Multiformats
import NIOCore
import Weft
import Wire

extension LocalServices {
    func addGraphRoutes(to router: Router<LocalContext>) {
        router.call("/api/v0/dag/get") { call in try await dagGet(call) }
        router.call("/api/v0/dag/put") { call in try await dagPut(call) }
        router.call("/api/v0/dag/resolve") { call in
            let resolved = try await locate(try call.only("ref"), call, .block).resolve()
            return APIAnswer.json([
                "Cid": resolved.cid.linkJSON,
                "RemPath": .string(resolved.remainder.joined(separator: "/")),
            ])
        }
        router.call("/api/v0/dag/export") { call in
            let content = try await locate(try call.only("root"), call, .all)
            let resolved = try await content.resolve()
            let archive = try await content.reader.exportCAR(
                [], from: resolved.cid, selection: CARSelection())
            return try await APIAnswer.bytes(
                call, type: "application/vnd.ipld.car", trace: content.trace, archive)
        }
        router.call("/api/v0/dag/import") { call in try dagImport(call) }
        router.call("/api/v0/dag/stat") { call in try await dagStat(call) }
        router.call("/api/v0/block/get") { call in
            let cid = try await locateBlock(try call.only("cid"), call)
            let content = try await locate(cid.description, call, .block)
            let block = Weft.ResponseBody(
                state: { false },
                next: { done in
                    if done { return nil }
                    done = true
                    return try await content.reader.source.block(cid)
                })
            return try await APIAnswer.bytes(
                call, type: "application/octet-stream", trace: content.trace, block)
        }
        router.call("/api/v0/block/stat") { call in
            let cid = try await locateBlock(try call.only("cid"), call)
            let content = try await locate(cid.description, call, .block)
            let block = try await content.reader.source.block(cid)
            return APIAnswer.json([
                "Key": .string(cid.description), "Size": .number(block.readableBytes),
            ])
        }
        router.call("/api/v0/block/put") { call in try await blockPut(call) }
        router.call("/api/v0/block/rm") { call in try await blockRemove(call) }
    }

    private func dagGet(_ call: APIRequest) async throws -> ServerResponse {
        let codec = try Self.codec(call["output-codec"] ?? "dag-json")
        let content = try await locate(try call.only("ref"), call, .block)
        let resolved = try await content.resolve()
        var value = try IPLDCodec.decode(
            resolved.block.readableBytesSpan, codec: resolved.cid.codec)
        for name in resolved.remainder {
            var next = value[name]
            if case .list = value, let index = Int(name) { next = value[index] }
            guard let next else {
                throw APIError(
                    "\(resolved.cid) has nothing at '\(name)'", status: .internalServerError)
            }
            value = next
        }
        let bytes = ByteBuffer(bytes: try IPLDCodec.encode(value, codec: codec))
        let isText = codec == .dagJSON || codec == .json
        return try await APIAnswer.bytes(
            call, type: isText ? "application/json" : "application/octet-stream",
            trace: content.trace, Weft.ResponseBody(bytes))
    }

    private func dagPut(_ call: APIRequest) async throws -> ServerResponse {
        // Clients of old know the codecs by other names and options.
        let stored = try Self.codec(call["store-codec"] ?? call["format"] ?? call["f"] ?? "cbor")
        let input = try Self.codec(call["input-codec"] ?? call["input-enc"] ?? "json")
        let hash = try Self.hash(call["hash"] ?? "sha2-256")
        let pinning = try pinning(call, or: false)
        return try await eachPart(call) { bytes in
            let cid: CID
            do {
                cid = try await node.putValue(
                    bytes, from: input, as: stored, hash: hash, pinning: pinning)
            } catch let error as DecodeError {
                throw APIError.badArgument("what was sent cannot be read: \(error)")
            } catch let error as EncodeError {
                throw APIError.badArgument("what was sent cannot be stored so: \(error)")
            }
            return .object(["Cid": cid.linkJSON])
        }
    }

    /// Handles each part of an upload and answers one object for each, after the last, so that an
    /// error has a status of its own.
    private func eachPart(
        _ call: APIRequest, _ handle: (ByteBuffer) async throws -> Value
    ) async throws -> ServerResponse {
        let upload = try UploadReader(call)
        var answers: [Value] = []
        while try await upload.nextPart() != nil {
            guard answers.count < APIRequest.maxArguments else {
                throw APIError.badArgument(
                    "a call can have \(APIRequest.maxArguments) parts at most")
            }
            answers.append(
                try await handle(try await upload.wholePart(upTo: BlockLimits.maxBytes)))
        }
        guard !answers.isEmpty else { throw APIError.badArgument("nothing was sent") }
        return APIAnswer.lines { [answers] emit in
            for answer in answers { try await emit(answer) }
        }
    }

    /// Removes blocks that nothing keeps; what is kept or not here is said of each.
    private func blockRemove(_ call: APIRequest) async throws -> ServerResponse {
        let isForced = try call.flag("force", "f")
        let isQuiet = try call.flag("quiet", "q")
        let cids = try call.atLeastOne("cid").map { text throws(APIError) in
            let name = text.hasPrefix("/ipfs/") ? String(text.dropFirst(6)) : text
            return try APIRequest.cid(name)
        }
        return APIAnswer.lines { emit in
            for cid in cids {
                var problem: String?
                do {
                    if try await !node.store.remove(cid), !isForced {
                        problem = "the block \(cid) is not here"
                    }
                } catch StoreError.retained {
                    problem = StoreError.retained(cid).description
                }
                guard !isQuiet || problem != nil else { continue }
                try await emit(
                    .object([
                        "Hash": .string(cid.description),
                        "Error": problem.map { .string($0) },
                    ]))
            }
        }
    }

    private func blockPut(_ call: APIRequest) async throws -> ServerResponse {
        let version: CID.Version = call["format"] == "v0" && call["cid-codec"] == nil ? .v0 : .v1
        var codec = try Self.codec(call["cid-codec"] ?? call["format"] ?? call["f"] ?? "raw")
        if version == .v0 { codec = .dagPB }
        let hash = try Self.hash(call["mhtype"] ?? "sha2-256")
        if let length = call["mhlen"], length != "-1", length != "32" {
            throw APIError.badArgument("hashes are not truncated here; leave out mhlen")
        }
        let pinning = try pinning(call, or: false)
        return try await eachPart(call) { bytes in
            var cid: CID
            do {
                cid = try await node.putBlock(bytes, codec: codec, hash: hash, pinning: pinning)
            } catch let error as DecodeError {
                throw APIError.badArgument("what was sent cannot be stored so: \(error)")
            }
            if version == .v0 { cid = CID(v0: cid.hash) ?? cid }
            return .object([
                "Key": .string(cid.description), "Size": .number(bytes.readableBytes),
            ])
        }
    }

    private func dagImport(_ call: APIRequest) throws -> ServerResponse {
        let pins = try call.flag("pin-roots", or: true) && !call.flag("local-only")
        let stats = try call.flag("stats")
        let silent = try call.flag("silent")
        let upload = try UploadReader(call)
        return APIAnswer.lines { emit in
            var blocks: UInt64 = 0
            var bytes: UInt64 = 0
            var archives = 0
            while try await upload.nextPart() != nil {
                archives += 1
                let result = try await node.importArchive(upload.part, pinning: .unpinned)
                blocks += result.blocks
                bytes += result.bytes
                for root in result.roots where pins && root.hash.code != .identity {
                    var problem = ""
                    do {
                        try await node.store.pin(root, .recursive)
                    } catch {
                        problem = String(describing: error)
                    }
                    guard !silent || !problem.isEmpty else { continue }
                    try await emit(
                        .object([
                            "Root": .object([
                                "Cid": root.linkJSON, "PinErrorMsg": .string(problem),
                            ])
                        ]))
                }
            }
            guard archives > 0 else { throw APIError.badArgument("no CAR was sent") }
            guard stats else { return }
            try await emit(
                .object([
                    "Stats": .object([
                        "BlockCount": .number(blocks), "BlockBytesCount": .number(bytes),
                    ])
                ]))
        }
    }

    private func dagStat(_ call: APIRequest) async throws -> ServerResponse {
        var seen: Set<CID> = []
        var total: UInt64 = 0
        var redundant: UInt64 = 0
        var stats: [Value] = []
        for path in try call.atLeastOne("root") {
            let content = try await locate(path, call, .all)
            let root = try await content.resolve().cid
            var walk = DAGWalk(root: root, scope: .all, repeats: .omitted)
            var count: UInt64 = 0
            var size: UInt64 = 0
            while case .block(let cid) = walk.next() {
                content.reader.source.prefetch(walk.upcoming(16))
                let block = try await content.reader.source.block(cid)
                try walk.supply(block.readableBytesSpan)
                count += 1
                size += UInt64(block.readableBytes)
                if seen.insert(cid).inserted {
                    total += UInt64(block.readableBytes)
                } else {
                    redundant += UInt64(block.readableBytes)
                }
            }
            stats.append(
                .object([
                    "Cid": .string(root.description), "Size": .number(size),
                    "NumBlocks": .number(count),
                ]))
        }
        return APIAnswer.json([
            "UniqueBlocks": .number(seen.count), "TotalSize": .number(total),
            "SharedSize": .number(redundant),
            "Ratio": .float(total == 0 ? 1 : Double(total + redundant) / Double(total)),
            "DagStats": .list(stats),
        ])
    }

    /// A codec by its name in the table, or by what clients of old call it.
    private static func codec(_ name: String) throws(APIError) -> Codec {
        switch name {
        case "cbor": return .dagCBOR
        case "json": return .dagJSON
        case "protobuf", "v0": return .dagPB
        default:
            guard let codec = Codec(name: name) else {
                throw .badArgument("'\(name)' is no codec known here")
            }
            return codec
        }
    }

    private static func hash(_ name: String) throws(APIError) -> HashCode {
        guard let hash = HashCode(name: name) else {
            throw .badArgument("'\(name)' is no hash function known here")
        }
        return hash
    }

    /// What a call says about pinning.
    func pinning(_ call: APIRequest, or usual: Bool) throws(APIError) -> AddOptions.Pinning {
        try call.flag("pin", or: usual) ? .pinned(name: call["pin-name"] ?? "") : .unpinned
    }
}

extension CID {
    /// The form of a CID inside JSON: `{"/":"…"}`.
    var linkJSON: Value { .object(["/": .string(description)]) }
}
