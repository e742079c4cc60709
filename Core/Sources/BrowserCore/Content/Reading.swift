import Exchange
import IPLD
import Multiformats
import Wire

/// One thing that the page reads: a path below a root, and a file or a block at its end.
///
/// It is a machine over blocks: ``next()`` says what it wants, ``supply(_:)`` brings it.
struct Reading {
    /// What is to be done next.
    enum Step {
        /// Supply this block.
        case block(CID)
        /// The content is so long, and these bytes of it come.
        case found(size: UInt64, range: Range<UInt64>)
        /// These bytes of the block that was supplied last come next.
        case bytes(Range<Int>)
        /// It is a folder with these names, each with a slash after it.
        case names([UInt8])
        case done
    }

    /// Why there is nothing to read.
    enum Failure: Error {
        /// The path leads nowhere.
        case notFound(DAGError)
        /// A directory that has no index.html.
        case directory
        /// A directory with too many names.
        case tooManyNames
        /// The block at fault is no file and leads to none.
        case unreadable(DAGError)
        /// The end of the path lies within a block.
        case value
        /// The content has none of the bytes that are wanted.
        case emptyRange(size: UInt64)
    }

    private enum Phase {
        case path(PathResolver)
        /// At the end of the path, whose block shows what it is.
        case end(CID)
        case file(FileReader)
        case folder(DirectoryReader, names: [UInt8])
        /// A block that is read as it is, of which these bytes are wanted.
        case block(size: Int, wanted: Range<Int>)
        case done
    }

    private static let indexName = "index.html"

    /// Bytes of the names that are listed of a folder.
    static let maxNameBytes = 8 << 20

    let root: CID
    /// Whether the names in a folder are wanted, and not its index.html.
    private let isListing: Bool
    /// The bytes that are wanted; nil for all.
    private let wanted: EntityBytes?
    private var phase: Phase
    /// Whether it reads the index.html of the directory at the end of the path.
    private(set) var isAtIndex = false
    /// The end of the path, once it has been looked at.
    private(set) var end: CID?
    private var isTold = false

    init(root: CID, path: [String], wanted: EntityBytes?, isListing: Bool = false) {
        self.root = root
        self.isListing = isListing
        self.wanted = wanted
        phase = .path(PathResolver(root: root, path: path))
    }

    /// What is to be done next. Asks for the same block until it is supplied; other steps come
    /// once.
    mutating func next() throws(Failure) -> Step {
        while true {
            switch phase {
            case .path(let path):
                switch path.next() {
                case .block(let cid): return .block(cid)
                case .resolved(let end):
                    guard end.remaining.isEmpty else { throw .value }
                    phase = .end(end.cid)
                }
            case .end(let cid): return .block(cid)
            case .file(var file):
                phase = .done
                let step = try next(of: &file)
                phase = .file(file)
                return step
            case .folder(var folder, var names):
                phase = .done
                switch folder.next() {
                case .block(let cid):
                    phase = .folder(folder, names: names)
                    return .block(cid)
                case .entry(let entry):
                    names += entry.name + [UInt8(ascii: "/")]
                    guard names.count <= Self.maxNameBytes else { throw .tooManyNames }
                    phase = .folder(folder, names: names)
                case .done: return .names(names)
                }
            case .block(let size, let wanted):
                guard isTold else {
                    isTold = true
                    return .found(
                        size: UInt64(size),
                        range: UInt64(wanted.lowerBound)..<UInt64(wanted.upperBound))
                }
                phase = .done
                return .bytes(wanted)
            case .done: return .done
            }
        }
    }

    private func next(of file: inout FileReader) throws(Failure) -> Step {
        switch file.next() {
        case .block(let cid): return .block(cid)
        case .bytes(let range): return .bytes(range)
        case .done: return .done
        case .size(let size):
            let range = try range(in: size)
            file.narrow(to: range)
            return .found(size: size, range: range)
        }
    }

    private func range(in size: UInt64) throws(Failure) -> Range<UInt64> {
        guard let wanted else { return 0..<size }
        guard let range = wanted.range(in: size) else { throw .emptyRange(size: size) }
        return range
    }

    /// Whether not all is wanted.
    var isOfRange: Bool { wanted != nil }

    /// The next blocks that will be asked for, as far as they are known; of a file those with the
    /// next `bytes` of it.
    func upcoming(_ count: Int, within bytes: UInt64) -> [CID] {
        switch phase {
        case .path(let path): path.upcoming(count)
        case .file(let file): file.upcoming(count, within: bytes)
        case .end(let cid): [cid]
        case .folder, .block, .done: []
        }
    }

    /// Takes the block that ``next()`` asked for. It must have been checked against its CID.
    mutating func supply(_ block: RawSpan) throws(Failure) {
        switch phase {
        case .path(var path):
            do throws(DAGError) {
                try path.supply(block)
            } catch {
                if case .notFound = error.fault { throw isAtIndex ? .directory : .notFound(error) }
                throw .unreadable(error)
            }
            phase = .path(path)
        case .end(let cid): try look(at: cid, block)
        case .file(var file):
            phase = .done
            do throws(DAGError) {
                try file.supply(block)
            } catch {
                throw .unreadable(error)
            }
            phase = .file(file)
        case .folder(var folder, let names):
            phase = .done
            do throws(DAGError) {
                try folder.supply(block)
            } catch {
                throw .unreadable(error)
            }
            phase = .folder(folder, names: names)
        case .block, .done: preconditionFailure("no block was asked for")
        }
    }

    private mutating func look(at cid: CID, _ block: RawSpan) throws(Failure) {
        end = cid
        let entity: Entity
        var file = FileReader(root: cid)
        do throws(DAGError) {
            entity = try Entity(cid, block)
            if case .file = entity { try file.supply(block) }
        } catch {
            throw .unreadable(error)
        }
        switch entity {
        case .file: phase = .file(file)
        case .directory where isListing:
            phase = .folder(DirectoryReader(root: cid), names: [])
            try supply(block)
        case .directory:
            guard !isAtIndex else { throw .directory }
            isAtIndex = true
            phase = .path(PathResolver(root: cid, path: [Self.indexName]))
        case .symlink where isListing: throw .notFound(DAGError(cid, .notAFile(.symlink)))
        case .symlink: throw .unreadable(DAGError(cid, .notAFile(.symlink)))
        case .node:
            let range = try range(in: UInt64(block.byteCount))
            phase = .block(
                size: block.byteCount, wanted: Int(range.lowerBound)..<Int(range.upperBound))
        }
    }
}
