// What a running call reads: content by hash, from the store or whoever has it. Contracts run on
// threads that block; what is asynchronous happens in tasks that they wait for.

import BlockStore
import Compute
import DequeModule
import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import Synchronization
import WasmEngine
import WasmRules

/// Where the content that a call names comes from, and how much of it the call may read.
final class CallContent: Sendable {
    private let retrieval: Retrieval
    private let policy: Retrieval.Policy
    private let maxBytes: Int64
    private let bytes = Atomic<Int64>(0)
    /// What binds the calls of peers; nil for one of this node.
    private let peerRules: PeerCallRules?
    /// What of its bytes is counted together with those of others.
    private let shared = Atomic<Int64>(0)
    private let isOver = Atomic(false)
    /// Where its threads wait for what is not here; nil if it waits for nothing.
    private let places: WaitingPlaces?
    /// How many of them do.
    private let waits = Atomic<Int>(0)
    fileprivate let windows = Mutex(Windows())
    fileprivate let files = Atomic<Int>(0)
    let trace: Trace

    init(
        _ retrieval: Retrieval, _ policy: Retrieval.Policy, maxBytes: UInt64,
        peerRules: PeerCallRules? = nil, places: WaitingPlaces? = nil, trace: Trace
    ) {
        self.retrieval = retrieval
        self.policy = policy
        self.maxBytes = Int64(clamping: maxBytes)
        self.peerRules = peerRules
        self.places = places
        self.trace = trace
    }

    /// The call is over: what it has read counts no more. What goes on all the same is not counted.
    func end() {
        guard let peerRules, !isOver.exchange(true, ordering: .relaxed) else { return }
        peerRules.giveBack(shared.exchange(0, ordering: .relaxed))
    }

    /// Looks whether a call may name this.
    func admit(_ cid: CID) throws(DeniedContent) { try peerRules?.admit(cid) }

    /// A reader of everything below a root, for as long as the call may take.
    ///
    /// - Parameter goFar: called before what is not here is waited for.
    func reader(
        of root: CID, _ control: RunControl, goFar: @escaping @Sendable () -> Void = {}
    ) throws(DeniedContent) -> ContentReader {
        try admit(root)
        let rest = ContinuousClock.now.duration(to: control.end)
        let gate = RetrievalSession.Gate {
            goFar()
            try self.takePlace()
        } leave: {
            self.givePlaceBack()
        }
        return ContentReader(
            retrieval.session(
                for: RetrievalScope(root: root, extent: .all), policy: policy,
                limits: MeshOptions(deadline: max(rest, .milliseconds(1))), trace: trace,
                storing: .asCache, gate: gate))
    }

    /// Waits on this thread for somebody far away.
    ///
    /// - Throws: `ResourceFailure.busy` if too many do.
    func waiting<Result>(_ body: () -> Result) throws(ResourceFailure) -> Result {
        try takePlace()
        defer { givePlaceBack() }
        return body()
    }

    private func takePlace() throws(ResourceFailure) {
        let own = waits.add(1, ordering: .relaxed).oldValue
        do throws(ResourceFailure) {
            try places?.take(having: own)
        } catch {
            waits.subtract(1, ordering: .relaxed)
            throw error
        }
    }

    private func givePlaceBack() {
        waits.subtract(1, ordering: .relaxed)
        places?.giveBack()
    }

    /// Counts bytes that the call reads.
    func count(_ read: Int) throws(ResourceFailure) {
        let total = bytes.add(Int64(read), ordering: .relaxed).newValue
        guard total <= maxBytes, takeShared(Int64(read)) else { throw .input(limit: maxBytes) }
    }

    private func takeShared(_ read: Int64) -> Bool {
        guard let peerRules, !isOver.load(ordering: .relaxed) else { return true }
        shared.add(read, ordering: .relaxed)
        return peerRules.take(read)
    }
}

/// What a call, with all that it calls, has read last of files. Some of it is wanted again.
private struct Windows {
    /// Small, because many calls read just a little on either side of their part.
    static let bytes: Int64 = 16 << 10
    /// 16 MiB.
    private static let maxCount = 1_024

    struct Place: Hashable {
        let file: Int
        let index: Int64
    }

    private var kept: [Place: ByteBuffer] = [:]
    private var order = Deque<Place>()

    subscript(place: Place) -> ByteBuffer? { kept[place] }

    mutating func keep(_ bytes: ByteBuffer, _ place: Place) {
        guard kept.updateValue(bytes, forKey: place) == nil else { return }
        order.append(place)
        if order.count > Self.maxCount { kept[order.removeFirst()] = nil }
    }
}

/// A file that contracts read by range. What was read last is kept, in windows.
final class CallFile: ContentFile {
    let size: Int64
    private let file: OpenFile
    private let content: CallContent
    private let control: RunControl
    private let number: Int

    init(_ file: OpenFile, _ content: CallContent, _ control: RunControl) {
        self.file = file
        self.content = content
        self.control = control
        number = content.files.add(1, ordering: .relaxed).newValue
        size = Int64(clamping: file.size)
    }

    func read(from offset: Int64, into target: UnsafeMutableRawBufferPointer) throws {
        var done = 0
        while done < target.count {
            let place = offset + Int64(done)
            let window = try window(place / Windows.bytes)
            let start = Int(place % Windows.bytes)
            let count = min(target.count - done, window.readableBytes - start)
            guard count > 0 else { throw ResourceFailure.engine("a file ends too early") }
            window.withUnsafeReadableBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: target[done...])
                    .copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]))
            }
            done += count
        }
    }

    func read(_ range: Range<Int64>, _ take: (ByteBuffer) throws -> Void) throws {
        var place = range.lowerBound
        while place < range.upperBound {
            let window = try window(place / Windows.bytes)
            let start = Int(place % Windows.bytes)
            let count = min(Int(range.upperBound - place), window.readableBytes - start)
            guard count > 0, let part = window.slice(start..<start + count) else {
                throw ResourceFailure.engine("a file ends too early")
            }
            try take(part)
            place += Int64(count)
        }
    }

    private func window(_ index: Int64) throws -> ByteBuffer {
        let place = Windows.Place(file: number, index: index)
        if let known = content.windows.withLock({ $0[place] }) { return known }
        let start = index * Windows.bytes
        let end = min(start + Windows.bytes, size)
        try content.count(Int(end - start))
        let stream = file.stream(UInt64(start)..<UInt64(end))
        let bytes = try control.wait {
            var stream = stream
            // Most windows are one part of a block, read for them alone, which is taken as it is; a
            // slice of a whole block would keep all of that in memory.
            var bytes = try await stream.next() ?? ByteBuffer()
            while var part = try await stream.next() { bytes.writeBuffer(&part) }
            guard bytes.storageCapacity > 2 * Int(Windows.bytes) else { return bytes }
            return ByteBuffer(bytes: bytes.readableBytesView)
        }
        content.windows.withLock { $0.keep(bytes, place) }
        return bytes
    }
}

extension CallContent {
    /// What an `ipfs://` URL of a contract leads to: a file, or a block of another kind; 404 for
    /// everything else.
    func answer(
        _ root: CID, _ path: [String], _ control: RunControl
    ) throws -> ContractAnswer {
        let reader = try reader(of: root, control)
        return try control.wait { () async throws -> ContractAnswer in
            do {
                let resolved = try await reader.resolve(path, from: root)
                guard resolved.fault == nil else { return ContractAnswer(status: 404) }
                switch resolved.entity {
                case .file:
                    let file = CallFile(try reader.file(resolved), self, control)
                    return ContractAnswer(status: 200, body: .file(file))
                case .node where resolved.remainder.isEmpty:
                    try self.count(resolved.block.readableBytes)
                    return ContractAnswer(status: 200, body: .bytes(resolved.block))
                case .directory, .symlink, .node: return ContractAnswer(status: 404)
                }
            } catch let error as ContentError where error.status == .notFound {
                return ContractAnswer(status: 404)
            }
        }
    }

    /// What came of a call, as a contract sees it that made the call.
    func answer(_ end: CallEnd, _ control: RunControl) throws -> ContractAnswer {
        switch end {
        case .result(let result, _): try answer(result.record, control)
        case .noMethod: ContractAnswer(status: 404)
        case .noContract: ContractAnswer(status: 422)
        }
    }

    /// What a record tells, as a contract sees it that made the call.
    func answer(_ record: CallRecord, _ control: RunControl) throws -> ContractAnswer {
        let status: Int32 =
            switch record.outcome {
            case .ok: Int32(record.output?.status ?? 200)
            case .outOfGas: 1
            case .stackExhausted: 2
            case .trap: 3
            }
        let headers = record.output?.headers.fields.map { ContractHeader($0.name, $0.value) }
        let body: Content =
            switch record.output?.body {
            case .inline(let bytes): .bytes(ByteBuffer(bytes: bytes))
            case .content(let root): .file(try file(root, control))
            case nil: .empty
            }
        return ContractAnswer(
            status: status, gas: Int64(record.gas), headers: headers ?? [], body: body)
    }

    /// The bytes of a body that a call names.
    func file(_ cid: CID, _ control: RunControl) throws -> CallFile {
        let reader = try reader(of: cid, control)
        return try control.wait {
            let resolved = try await reader.resolve([], from: cid)
            return CallFile(try reader.file(resolved), self, control)
        }
    }

    /// Whether a file is here and begins with these bytes.
    func begins(_ cid: CID, with bytes: [UInt8]) async -> Bool {
        do {
            let reader = try reader(of: cid, RunControl(time: .seconds(5)))
            let resolved = try await reader.resolve([], from: cid)
            guard case .file = resolved.entity else { return false }
            let file = try reader.file(resolved)
            guard file.size <= UInt64(WasmLimits.maxModuleBytes), file.size >= UInt64(bytes.count)
            else { return false }
            let start = try await ResponseBody(file.stream(0..<UInt64(bytes.count)))
                .collect(upTo: bytes.count)
            return [UInt8](buffer: start) == bytes
        } catch {
            return false
        }
    }

    /// The module of a contract, which may have 4 MiB.
    ///
    /// - Parameter goFar: called before what of it is not here is waited for.
    func module(
        _ cid: CID, _ control: RunControl, goFar: @escaping @Sendable () -> Void
    ) throws -> [UInt8]? {
        let reader = try reader(of: cid, control, goFar: goFar)
        return try control.wait {
            let resolved = try await reader.resolve([], from: cid)
            guard case .file = resolved.entity else { return nil }
            let file = try reader.file(resolved)
            guard file.size <= UInt64(WasmLimits.maxModuleBytes) else { return nil }
            return [UInt8](
                buffer: try await ResponseBody(file.stream(nil)).collect(
                    upTo: WasmLimits.maxModuleBytes))
        }
    }
}
