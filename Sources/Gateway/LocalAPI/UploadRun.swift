// One upload of files and folders over Kubo's RPC: the parts of a form become an import, one part
// at a time.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import Multiformats
import NIOCore
import Weft

/// Adds the parts of a form, and says what was added.
actor UploadRun {
    /// What is said of.
    enum Naming: Sendable {
        case everything
        /// The last thing alone.
        case last
        case nothing
    }

    private let upload: Upload
    private let reader: UploadReader
    private let naming: Naming
    private var unnamed = 0
    private var last: Value?
    private var isFinished = false

    init(_ upload: Upload, _ reader: UploadReader, naming: Naming) {
        self.upload = upload
        self.reader = reader
        self.naming = naming
    }

    /// Adds the next part, or, after the last one, the folders around.
    ///
    /// - Parameter events: is told how far a file has come.
    /// - Returns: what to say; nil when everything has been said.
    func next(_ events: WorkEvents?) async throws -> [Value]? {
        guard !isFinished else { return nil }
        guard let part = try await reader.nextPart() else { return try await finish() }
        let name = (part.fileName ?? "").split(separator: "/").filter { $0 != "." }
            .joined(separator: "/")
        let type = part.contentType.prefix { $0 != ";" }.lowercased()
        if type == "application/x-directory" {
            if !name.isEmpty { try await upload.addFolder(name) }
            return []
        }
        guard name.isEmpty else {
            let entry = try await add(name, type, events)
            return say([entry.event(entry.path)])
        }
        unnamed += 1
        let entry = try await add("upload-\(unnamed)", type, events)
        return say([entry.event(entry.cid.description)])
    }

    private func add(
        _ name: String, _ type: String, _ events: WorkEvents?
    ) async throws -> AddedEntry {
        if type == "application/symlink" {
            let target = try await reader.wholePart(upTo: 4096)
            return try await upload.addLink(name, to: String(buffer: target))
        }
        guard let events else { return try await upload.addFile(name, reader.part) }
        let tell: @Sendable (UInt64) -> Void = { bytes in
            events.tell(
                progress: .object(["Name": .string(name), "Bytes": .number(bytes)]))
        }
        let entry = try await upload.addFile(name, reader.part, progress: tell)
        tell(entry.contentSize)
        return entry
    }

    private func finish() async throws -> [Value] {
        isFinished = true
        let folders = try await upload.finish().folders
        let said = say(folders.map { $0.event($0.path) })
        return naming == .last ? last.map { [$0] } ?? [] : said
    }

    private func say(_ entries: [Value]) -> [Value] {
        last = entries.last ?? last
        return naming == .everything ? entries : []
    }
}

extension AddedEntry {
    /// The entry as Kubo's event.
    fileprivate func event(_ name: String) -> Value {
        .object([
            "Name": .string(name), "Hash": .string(cid.description),
            "Size": .string(String(tsize)),
        ])
    }
}
