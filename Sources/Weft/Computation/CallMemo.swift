// Results of calls that this node knows, by the calls' CIDs: the newest in memory, many on disk as
// pairs of names. What is on disk is believed of nothing: the record is read by its name and has to
// be of the call that was asked.

import Compute
import Glibc
import Multiformats
import Synchronization
import WasmEngine

/// Which record tells the result of which call.
final class CallMemo: Sendable {
    /// What is known of a call.
    enum Known {
        /// Its result.
        case result(CallResult)
        /// The name of the record of its result.
        case record(CID)
    }

    /// The bytes of results in memory, about.
    private static let maxBytes = 16 << 20
    /// How many pairs a file has; with the next one it takes the place of the older file.
    private static let maxPairs = 65_536
    private static let pairBytes = 64
    /// How many bytes of pairs are written at a time.
    private static let writeBytes = 16 << 10

    /// The SHA-256 that names a call or a record.
    private struct Digest: Hashable {
        let words: (UInt64, UInt64, UInt64, UInt64)

        init?(_ cid: CID) {
            guard cid.hash.code == .sha2_256 else { return nil }
            self.init(cid.hash.digest[...])
        }

        init?(_ bytes: ArraySlice<UInt8>) {
            guard bytes.count == 32 else { return nil }
            words = bytes.withUnsafeBytes {
                $0.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self)
            }
        }

        func append(to bytes: inout [UInt8]) {
            withUnsafeBytes(of: words) { bytes.append(contentsOf: $0) }
        }

        var record: CID {
            var digest: [UInt8] = []
            append(to: &digest)
            return CID(.dagCBOR, Multihash(code: .sha2_256, digest: digest))
        }

        static func == (left: Self, right: Self) -> Bool { left.words == right.words }

        func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
    }

    /// Two generations of what is known: the older one makes room.
    private struct Generations<Value> {
        var young: [Digest: Value] = [:]
        var old: [Digest: Value] = [:]

        subscript(key: Digest) -> Value? { young[key] ?? old[key] }

        /// Begins a new generation, which will be about as large. Gives the one that is forgotten,
        /// to be let go of by whoever does not hold the lock.
        mutating func age() -> [Digest: Value] {
            let gone = old
            old = young
            young = Dictionary(minimumCapacity: old.count)
            return gone
        }
    }

    private struct State {
        var results = Generations<CallResult>()
        var youngBytes = 0
        /// Nil until they are read.
        var pairs: Generations<Digest>?
        /// How many pairs the younger file has.
        var written = 0
        /// Pairs that are not on disk yet, by the file that they belong to; the last one is the
        /// younger.
        var unwritten: [[UInt8]] = [[]]
        /// Whether somebody is about to write them.
        var isWriting = false
    }

    private let path: String
    private var oldPath: String { path + ".old" }
    private let state = Mutex(State())
    /// Held while the files are written: nobody waits for that who looks for a result.
    private let file = Mutex(())

    /// A memory of results whose pairs are in a file, and in an older one beside it.
    init(_ path: String) {
        self.path = path
    }

    /// How many results are in memory.
    var count: Int { state.withLock { $0.results.young.count + $0.results.old.count } }

    /// A result that is in memory.
    func result(of call: CID) -> CallResult? {
        guard let key = Digest(call) else { return nil }
        return state.withLock { Self.result(key, &$0) }
    }

    /// What is asked for stays: it moves to the younger ones.
    private static func result(_ key: Digest, _ state: inout State) -> CallResult? {
        if let result = state.results.young[key] { return result }
        guard let result = state.results.old.removeValue(forKey: key) else { return nil }
        state.results.young[key] = result
        state.youngBytes += result.memoryBytes
        return result
    }

    /// The name of the record of a call's result, if one is known.
    func record(of call: CID) -> CID? {
        guard let key = Digest(call) else { return nil }
        return state.withLock { state in
            read(&state)
            return state.pairs?[key]
        }?.record
    }

    /// What is known of a call.
    func find(_ call: CID) -> Known? {
        guard let key = Digest(call) else { return nil }
        let (result, record) = state.withLock { state -> (CallResult?, Digest?) in
            if let result = Self.result(key, &state) { return (result, nil) }
            read(&state)
            return (nil, state.pairs?[key])
        }
        return result.map { .result($0) } ?? record.map { .record($0.record) }
    }

    /// Keeps a result.
    func keep(_ result: CallResult, of call: CID) {
        guard let key = Digest(call), let record = Digest(result.cid) else { return }
        let bytes = result.memoryBytes
        let (mustWrite, results, _) = state.withLock { state in
            var forgotten: ([Digest: CallResult], [Digest: Digest]) = ([:], [:])
            if bytes <= Self.maxBytes / 4 {
                if state.youngBytes + bytes > Self.maxBytes / 2 {
                    forgotten.0 = state.results.age()
                    state.youngBytes = 0
                }
                if state.results.young.updateValue(result, forKey: key) == nil {
                    state.youngBytes += bytes
                }
            }
            read(&state)
            guard state.pairs?.young.updateValue(record, forKey: key) != record else {
                return (false, forgotten.0, forgotten.1)
            }
            let last = state.unwritten.count - 1
            key.append(to: &state.unwritten[last])
            record.append(to: &state.unwritten[last])
            var isFull = state.unwritten[last].count >= Self.writeBytes
            state.written += 1
            if state.written >= Self.maxPairs {
                forgotten.1 = state.pairs?.age() ?? [:]
                state.unwritten.append([])
                // There is no third file, so that no more than two wait for a disk that hangs.
                if state.unwritten.count > 3 { state.unwritten.removeFirst() }
                if state.unwritten.count == 3 { state.unwritten[0] = [] }
                state.written = 0
                isFull = true
            }
            let mustWrite = isFull && !state.isWriting
            if mustWrite { state.isWriting = true }
            return (mustWrite, forgotten.0, forgotten.1)
        }
        // A disk can be slow, and who keeps a result may be the mesh's event loop.
        if mustWrite { Task { @concurrent in self.flush() } }
        // Many results are let go of where nobody waits for that.
        if !results.isEmpty { Task { @concurrent [results = consume results] in _ = results } }
    }

    private func read(_ state: inout State) {
        guard state.pairs == nil else { return }
        let pairs = Generations(young: Self.pairs(in: path), old: Self.pairs(in: oldPath))
        state.written = pairs.young.count
        state.pairs = pairs
    }

    private static func pairs(in path: String) -> [Digest: Digest] {
        var pairs: [Digest: Digest] = [:]
        // A file that cannot be read costs time, nothing else. A torn end is no pair.
        let bytes = (try? SmallFile.read(path, limit: 2 * maxPairs * pairBytes)) ?? []
        for start in stride(from: 0, through: bytes.count - pairBytes, by: pairBytes) {
            guard let call = Digest(bytes[start..<start + 32]),
                let record = Digest(bytes[start + 32..<start + pairBytes])
            else { continue }
            pairs[call] = record
        }
        return pairs
    }

    /// Writes what is not on disk yet.
    func flush() {
        file.withLock { _ in
            let files = state.withLock { state in
                defer {
                    state.unwritten = [[]]
                    state.isWriting = false
                }
                return state.unwritten
            }
            for (index, bytes) in files.enumerated() {
                // As above.
                if index > 0 { rename(path, oldPath) }
                append(bytes)
            }
        }
    }

    private func append(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        let file = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { return }
        // What a torn end leaves would put everything after it out of place.
        let rest = lseek(file, 0, SEEK_END) % Self.pairBytes
        if rest > 0 { ftruncate(file, lseek(file, 0, SEEK_END) - rest) }
        _ = Glibc.write(file, bytes, bytes.count)
        close(file)
    }
}
