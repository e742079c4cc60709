// The calls about the repository: repo stat|gc|verify|version, and our own stat, gc and check.

import BlockStore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import Weft

extension LocalServices {
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
        router.call("/api/v0/repo/gc") { call in
            let isSilent = try call.flag("silent")
            return APIAnswer.lines { emit in
                let isComplete = try await WorkEvents.follow(emit) { events in
                    try await Self.collect(node.store, events, isSilent: isSilent)
                }
                guard isComplete else {
                    throw APIError(
                        "everything was collected, but not everything was named: the answer was "
                            + "read too slowly", status: .internalServerError)
                }
            }
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

    /// Collects and names what was removed, as Kubo does: by the hash alone, so as a raw block.
    ///
    /// - Returns: whether all of it was named. A reader that stands still does not hold up the
    ///   store for long.
    private static func collect(
        _ store: BlockStore, _ events: WorkEvents, isSilent: Bool
    ) async throws -> Bool {
        let isComplete = NIOLockedValueBox(true)
        try await store.collect(.everything) { hashes in
            guard !isSilent, isComplete.withLockedValue({ $0 }) else { return }
            let entries = hashes.map { Value.object(["Key": CID(.raw, $0).linkJSON]) }
            if !events.offer(entries, within: .seconds(2)) {
                isComplete.withLockedValue { $0 = false }
            }
        }
        return isComplete.withLockedValue { $0 }
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
