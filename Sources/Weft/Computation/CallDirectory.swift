// What a program for WASI sees of the content that its call names as a directory.

import HTTPTypes
import IPLD
import Multiformats
import Synchronization
import WasmEngine

/// A directory that a program for WASI sees as `/`.
final class CallDirectory: ContentDirectory {
    /// How many entries of one directory a contract can list, and how many bytes listings take
    /// together that are kept for the call.
    private static let maxEntries = 100_000
    private static let maxListedBytes = 32 << 20
    /// What an entry takes beside its name, about.
    private static let entryBytes = 48

    /// The name of a file that is the whole of what a call names.
    private static let fileName = "content"

    private enum Found: Sendable {
        case file(any ContentFile)
        case directory(CID)
    }

    private struct State {
        /// The root, when that has been looked at: a file, or nil.
        var only: (any ContentFile)??
        /// The listings that were asked for last, by their directories.
        var listings: [CID: [ContentName]] = [:]
        var listedBytes = 0
        /// The directory that was listed last, whose entries are mostly looked at next.
        var last: (path: [String], cid: CID)?
    }

    private let root: CID
    private let content: CallContent
    private let control: RunControl
    private let state = Mutex(State())

    init(_ root: CID, _ content: CallContent, _ control: RunControl) {
        self.root = root
        self.content = content
        self.control = control
    }

    func open(_ path: [String]) throws -> ContentEntry? {
        if let only = try onlyFile() {
            return path.isEmpty ? .directory : path == [Self.fileName] ? .file(only) : nil
        }
        return switch try find(path) {
        case .file(let file): .file(file)
        case .directory: .directory
        case nil: nil
        }
    }

    func list(_ path: [String]) throws -> [ContentName]? {
        if try onlyFile() != nil {
            return path.isEmpty ? [ContentName(Self.fileName, isDirectory: false)] : nil
        }
        guard case .directory(let directory)? = try find(path) else { return nil }
        state.withLock { $0.last = (path, directory) }
        if let known = state.withLock({ $0.listings[directory] }) { return known }
        let (names, bytes) = try names(in: directory)
        try content.count(bytes)
        state.withLock { state in
            if state.listedBytes + bytes > Self.maxListedBytes {
                state.listings = [:]
                state.listedBytes = 0
            }
            if state.listings.updateValue(names, forKey: directory) == nil {
                state.listedBytes += bytes
            }
        }
        return names
    }

    /// The root, if it is a file: then that is the one file of the directory.
    private func onlyFile() throws -> (any ContentFile)? {
        if let known = state.withLock({ $0.only }) { return known }
        var file: (any ContentFile)?
        if case .file(let found)? = try find([]) { file = found }
        state.withLock { $0.only = .some(file) }
        return file
    }

    private func find(_ path: [String]) throws -> Found? {
        let reader = try content.reader(of: root, control)
        let (content, control) = (content, control)
        let last = state.withLock { $0.last }
        // By their bytes: letters that look alike are other names.
        let isBelow =
            last.map { last in
                !path.isEmpty
                    && path.dropLast().elementsEqual(last.path) { one, other in
                        one.utf8.elementsEqual(other.utf8)
                    }
            } ?? false
        let start = isBelow ? last?.cid ?? root : root
        let way = isBelow ? Array(path.suffix(1)) : path
        return try control.wait { () async throws -> Found? in
            let resolved: ResolvedContent
            do {
                resolved = try await reader.resolve(way, from: start)
            } catch let error as ContentError where error.status == .notFound {
                return nil
            }
            guard resolved.remainder.isEmpty, resolved.fault == nil else { return nil }
            switch resolved.entity {
            case .file: return .file(CallFile(try reader.file(resolved), content, control))
            case .directory: return .directory(resolved.cid)
            case .symlink, .node: return nil
            }
        }
    }

    /// The entries of a directory, and how many bytes they take, about.
    private func names(in directory: CID) throws -> ([ContentName], bytes: Int) {
        let reader = try content.reader(of: directory, control)
        return try control.wait {
            var names: [ContentName] = []
            var bytes = 0
            for try await entry in reader.list(directory) {
                bytes += entry.name.count + Self.entryBytes
                guard names.count < Self.maxEntries else {
                    throw ResourceFailure.input(limit: Int64(Self.maxEntries))
                }
                guard bytes <= Self.maxListedBytes else {
                    throw ResourceFailure.input(limit: Int64(Self.maxListedBytes))
                }
                let name = String(decoding: entry.name, as: UTF8.self)
                // A raw block is a file; of other links only the target says what it is.
                names.append(ContentName(name, isDirectory: entry.cid.codec == .raw ? false : nil))
            }
            return (names, bytes)
        }
    }
}
