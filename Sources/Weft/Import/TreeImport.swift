// Files and folders to blocks, on as many threads as there are cores. Threads share one stack of
// work: folders to list, batches of files, pieces of large files. Each reads straight into the
// buffer of a block, hashes it and gives it to one write session; nothing is stored for good
// before that session is committed.

import BlockStore
import CoreFoundation
import Glibc
import IPLD
import Multiformats
import NIOCore
import Synchronization

/// One call of `add`.
final class TreeImport: Sendable {
    /// How many files a thread takes at a time.
    private static let batchSize = 64
    /// How deep folders may lie in each other. Each level costs one open descriptor.
    static let maxDepth = 512
    /// How often progress is told, in nanoseconds.
    private static let reportInterval: UInt64 = 100_000_000

    private enum Work: Sendable {
        /// A folder to list, by its name in another one.
        case folder([UInt8], in: FolderImport)
        /// Files and links.
        case batch(ArraySlice<ListedEntry>, in: FolderImport)
        /// The next piece of a large file.
        case piece(of: FileImport)
    }

    private let options: AddOptions
    private let session: ImportSink
    /// A splitter before its first byte, to copy for each file.
    private let splitter: Splitter
    private let observer: AddObserver
    private let stack: WorkStack<Work>
    /// The absolute paths that were asked for, each once.
    private let paths: [String]
    private let top: Mutex<[ImportedChild]> = Mutex([])
    private let files = Atomic<UInt64>(0)
    private let bytes = Atomic<UInt64>(0)
    private let lastReport = Atomic<UInt64>(0)

    /// Prepares to add what lies at these absolute paths.
    init(
        _ paths: [String], options: AddOptions, session: ImportSink, observer: AddObserver
    ) throws {
        if options.placement == .referenced && options.profile.leaves != .raw {
            throw ImportError.referencesNeedRawLeaves
        }
        var seen: Set<String> = []
        self.paths = paths.filter { seen.insert($0).inserted }
        self.options = options
        splitter = Splitter(options.profile.chunker)
        self.session = session
        self.observer = observer
        var listed: [ListedEntry] = []
        for path in self.paths {
            let name = Array(path.utf8)
            let kind = try FolderListing.kind(name, in: AT_FDCWD) {
                SystemError("find", path, code: $0)
            }
            listed.append(ListedEntry(name: name, kind: kind))
        }
        let root = FolderImport(top: listed.count)
        stack = WorkStack(.batch(listed[...], in: root))
    }

    /// Works until everything is added; called by each thread.
    func run() {
        var buffer = ByteBuffer()
        stack.run { work in
            switch work {
            case .folder(let name, let parent): try list(name, in: parent)
            case .batch(let entries, let folder): try add(entries, in: folder, &buffer)
            case .piece(let file): try addPiece(of: file, &buffer)
            }
            report()
        }
    }

    /// Lets all threads stop soon.
    func stop(_ reason: any Error) {
        stack.stop(reason)
    }

    /// What was added, after all threads have ended.
    func result(order: [String]) throws -> AddResult {
        try stack.result()
        observer.progress?(progress)
        let children = top.withLock { $0 }
        if options.wrapping == .folder {
            let root = try wrap(children)
            return AddResult(roots: [root], total: progress)
        }
        var entries: [[UInt8]: DAGEntry] = [:]
        for child in children { entries[child.name] = child.entry }
        let roots = order.compactMap { path in
            entries[Array(path.utf8)].map { Self.added(Files.name(of: path), $0) }
        }
        return AddResult(roots: roots, total: progress)
    }
}

// Folders.
extension TreeImport {
    private func list(_ name: [UInt8], in parent: FolderImport) throws {
        let path = parent.path(of: name)
        guard parent.depth < Self.maxDepth else {
            throw ImportError.tooDeep(path, limit: Self.maxDepth)
        }
        let directory = try Descriptor.open(
            name, O_RDONLY | O_DIRECTORY, in: parent.directory, path: path)
        let state = FileState(try directory.status(of: path))
        let listed = try FolderListing.entries(
            of: directory, path: path, hidden: options.hidden)
        let folder = FolderImport(
            name, in: parent, owning: directory, metadata: state.metadata(options.attributes),
            count: listed.count)
        if listed.isEmpty { return try complete(folder, []) }
        push(listed, in: folder)
    }

    /// Adds the work of a folder to the stack: folders below files, so that files are done first
    /// and few folders are open at a time.
    private func push(_ listed: [ListedEntry], in folder: FolderImport) {
        var work: [Work] = []
        var rest: [ListedEntry] = []
        rest.reserveCapacity(listed.count)
        for entry in listed {
            if case .folder = entry.kind {
                work.append(.folder(entry.name, in: folder))
            } else {
                rest.append(entry)
            }
        }
        for start in stride(from: 0, to: rest.count, by: Self.batchSize) {
            let end = min(start + Self.batchSize, rest.count)
            work.append(.batch(rest[start..<end], in: folder))
        }
        stack.push(work)
    }

    /// Takes results of a folder, and of those above it that they complete.
    private func complete(_ folder: FolderImport, _ results: [ImportedChild]) throws {
        var folder = folder
        var results = results
        while let children = folder.complete(results) {
            guard let parent = folder.parent else {
                return top.withLock { $0 = children }
            }
            let entry = try build(folder, children)
            results = [ImportedChild(name: folder.name, entry: entry)]
            folder = parent
        }
    }

    private func build(_ folder: FolderImport, _ children: [ImportedChild]) throws -> DAGEntry {
        var builder = DirectoryBuilder(options.profile, metadata: folder.metadata)
        for child in children {
            do {
                try builder.add(child.name, child.entry)
            } catch {
                throw ImportError.nameRefused(folder.path(of: child.name), reason: error)
            }
        }
        let root: DAGEntry
        do {
            root = try builder.finish()
        } catch {
            throw ImportError.nameRefused(folder.path(of: []), reason: error)
        }
        while let block = builder.nextBlock() { try session.put(Block(block)) }
        report(folder, root)
        return root
    }

    private func wrap(_ children: [ImportedChild]) throws -> AddedEntry {
        var builder = DirectoryBuilder(options.profile)
        for child in children {
            let name = Files.name(of: String(decoding: child.name, as: UTF8.self))
            try builder.add(Array(name.utf8), child.entry)
        }
        let root = try builder.finish()
        while let block = builder.nextBlock() { try session.put(Block(block)) }
        let entry = Self.added("", root)
        observer.added?(entry)
        return entry
    }
}

// Files and links.
extension TreeImport {
    private func add(
        _ entries: ArraySlice<ListedEntry>, in folder: FolderImport, _ buffer: inout ByteBuffer
    ) throws {
        var results: [ImportedChild] = []
        results.reserveCapacity(entries.count)
        for entry in entries {
            switch entry.kind {
            case .file:
                guard let root = try addFile(entry.name, in: folder, &buffer) else { continue }
                results.append(ImportedChild(name: entry.name, entry: root))
            case .symlink:
                let root = try addLink(entry.name, in: folder)
                results.append(ImportedChild(name: entry.name, entry: root))
            case .folder: stack.push(CollectionOfOne(.folder(entry.name, in: folder)))
            case .special(let kind):
                throw ImportError.special(folder.path(of: entry.name), kind: kind)
            }
        }
        if !results.isEmpty { try complete(folder, results) }
    }

    private func addLink(_ name: [UInt8], in folder: FolderImport) throws -> DAGEntry {
        var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = Descriptor.withCString(name) { name in
            target.withUnsafeMutableBytes { buffer in
                readlinkat(
                    folder.directory, name,
                    buffer.baseAddress!.assumingMemoryBound(to: CChar.self), buffer.count)
            }
        }
        guard count >= 0 else {
            throw SystemError("read the link", folder.path(of: name), code: errno)
        }
        target.removeLast(target.count - count)
        let link = options.profile.symlink(to: target)
        try session.put(Block(link.block))
        report(folder, name, link.entry)
        return link.entry
    }

    /// Adds a file, or answers nil and leaves it to all threads if it is large.
    private func addFile(
        _ name: [UInt8], in folder: FolderImport, _ buffer: inout ByteBuffer
    ) throws -> DAGEntry? {
        let file = try Descriptor.open(
            name, O_RDONLY | O_NONBLOCK, in: folder.directory, path: folder.path(of: name))
        let opened = FileState(try file.status(of: folder.path(of: name)))
        guard opened.mode & S_IFMT == S_IFREG else {
            let kind = FolderListing.kindName(opened.mode)
            throw ImportError.special(folder.path(of: name), kind: kind)
        }
        let metadata = opened.metadata(options.attributes)
        guard case .size(let pieceSize) = options.profile.chunker,
            try opened.size > 0 || isEmpty(file, name, in: folder)
        else { return try addCut(file, name, in: folder, opened, metadata) }
        if opened.size > UInt64(pieceSize) {
            let large = FileImport(
                name, in: folder, owning: file, opened: opened, pieceSize: pieceSize,
                builder: FileBuilder(options.profile, metadata: metadata))
            stack.push(CollectionOfOne(.piece(of: large)))
            return nil
        }
        var root = try addPiece(
            of: file.number, 0..<opened.size, name, in: folder, &buffer, metadata)
        try check(file, opened, name, in: folder)
        if !metadata.isEmpty, options.profile.leaves == .raw {
            var builder = FileBuilder(options.profile, metadata: metadata)
            builder.add(root)
            root = builder.finish()
            while let block = builder.nextBlock() { try session.put(Block(block)) }
        }
        report(folder, name, root)
        return root
    }

    /// Whether a file is as empty as it says: those of /proc only seem to be.
    private func isEmpty(
        _ file: borrowing Descriptor, _ name: [UInt8], in folder: FolderImport
    ) throws -> Bool {
        try withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) {
            try file.read(into: $0, at: 0, path: folder.path(of: name)) == 0
        }
    }

    /// Adds a file that is cut where its content says so, which only one thread can find out, or
    /// that does not say how long it is.
    private func addCut(
        _ file: borrowing Descriptor, _ name: [UInt8], in folder: FolderImport,
        _ opened: FileState, _ metadata: FileMetadata
    ) throws -> DAGEntry {
        var stream = StreamImport(options.profile, splitter, metadata: metadata) {
            [session] in try session.put($0)
        }
        var offset: UInt64 = 0
        let end = opened.size == 0 ? .max : opened.size
        while offset < end {
            var buffer = ByteBuffer()
            let wanted = Int(min(end - offset, 1 << 20))
            let count = try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: wanted) {
                let space = UnsafeMutableRawBufferPointer(rebasing: $0[..<wanted])
                return try file.read(into: space, at: offset, path: folder.path(of: name))
            }
            guard count == wanted || opened.size == 0 else {
                throw ImportError.changed(folder.path(of: name))
            }
            guard count > 0 else { break }
            try stream.append(buffer)
            offset += UInt64(count)
            bytes.add(UInt64(count), ordering: .relaxed)
        }
        let root = try stream.finish()
        try check(file, opened, name, in: folder)
        report(folder, name, root)
        return root
    }

    /// Adds the next piece of a large file, and leaves the others to all threads.
    private func addPiece(of file: FileImport, _ buffer: inout ByteBuffer) throws {
        let (index, last) = file.claim()
        if !last { stack.push(CollectionOfOne(.piece(of: file))) }
        let leaf = try addPiece(
            of: file.file, file.range(of: index), file.name, in: file.folder, &buffer)
        let root = try file.complete(index, leaf) { try session.put(Block($0)) }
        guard let root else { return }
        var status = stat()
        guard fstat(file.file, &status) == 0, FileState(status) == file.opened else {
            throw ImportError.changed(file.folder.path(of: file.name))
        }
        report(file.folder, file.name, root)
        try complete(file.folder, [ImportedChild(name: file.name, entry: root)])
    }

    /// Reads a piece into a block of its own and puts it into the session.
    private func addPiece(
        of file: Int32, _ range: Range<UInt64>, _ name: [UInt8], in folder: FolderImport,
        _ buffer: inout ByteBuffer, _ metadata: FileMetadata = FileMetadata()
    ) throws -> DAGEntry {
        let size = Int(range.upperBound - range.lowerBound)
        let envelope = LeafEnvelope(
            contentSize: size, profile: options.profile, metadata: metadata)
        // The session may keep the buffer for a while. Cleared, it is used again if it does not;
        // small blocks get small buffers, so that none keeps a large one alive.
        let capacity = size + envelope.head.count + envelope.tail.count
        if capacity < 64 << 10 {
            buffer = ByteBufferAllocator().buffer(capacity: capacity)
        } else {
            buffer.clear(minimumCapacity: capacity)
        }
        buffer.writeBytes(envelope.head)
        let count = try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { space in
            try Descriptor.read(
                file, into: UnsafeMutableRawBufferPointer(rebasing: space[..<size]),
                at: range.lowerBound, path: folder.path(of: name))
        }
        guard count == size else { throw ImportError.changed(folder.path(of: name)) }
        buffer.writeBytes(envelope.tail)
        let block = try Block(hashing: buffer, codec: envelope.codec, hash: envelope.hash)
        switch options.placement {
        case .stored, .nowhere: try session.put(block)
        case .referenced:
            try session.putReference(
                block.cid, file: folder.path(of: name), offset: range.lowerBound, length: size)
        }
        bytes.add(UInt64(size), ordering: .relaxed)
        return DAGEntry(
            cid: envelope.cid(of: block), tsize: UInt64(buffer.readableBytes),
            contentSize: UInt64(size))
    }

    private func check(
        _ file: borrowing Descriptor, _ opened: FileState, _ name: [UInt8],
        in folder: FolderImport
    ) throws {
        guard FileState(try file.status(of: folder.path(of: name))) == opened else {
            throw ImportError.changed(folder.path(of: name))
        }
    }
}

// What observers are told.
extension TreeImport {
    private var progress: AddProgress {
        AddProgress(files: files.load(ordering: .relaxed), bytes: bytes.load(ordering: .relaxed))
    }

    private static func added(_ path: String, _ root: DAGEntry) -> AddedEntry {
        AddedEntry(path: path, cid: root.cid, contentSize: root.contentSize, tsize: root.tsize)
    }

    private func report() {
        guard let tell = observer.progress else { return }
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let now = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        let last = lastReport.load(ordering: .relaxed)
        guard now - last >= Self.reportInterval else { return }
        let mine = lastReport.compareExchange(
            expected: last, desired: now, ordering: .relaxed)
        if mine.exchanged { tell(progress) }
    }

    /// Counts a file or link and tells of it.
    private func report(_ folder: FolderImport, _ name: [UInt8], _ root: DAGEntry) {
        files.add(1, ordering: .relaxed)
        tell(folder, name, root)
    }

    /// Tells of a folder.
    private func report(_ folder: FolderImport, _ root: DAGEntry) {
        if let parent = folder.parent { tell(parent, folder.name, root) }
    }

    private func tell(_ folder: FolderImport, _ name: [UInt8], _ root: DAGEntry) {
        guard let tell = observer.added else { return }
        tell(Self.added(folder.shownPath(of: name), root))
    }
}
