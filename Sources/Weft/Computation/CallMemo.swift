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
    /// The bytes of results in memory, about.
    private static let maxBytes = 16 << 20
    /// How many pairs are kept on disk; when there are twice as many the older half goes.
    private static let maxPairs = 65_536
    private static let pairBytes = 64
    /// How many bytes of pairs are written at a time.
    private static let writeBytes = 4 << 10

    /// The SHA-256 that names a call or a record.
    private struct Digest: Hashable {
        var words: (UInt64, UInt64, UInt64, UInt64)

        init?(_ cid: CID) {
            guard cid.hash.code == .sha2_256, cid.hash.digest.count == 32 else { return nil }
            self.init(Array(cid.hash.digest)[...])
        }

        init?(_ bytes: ArraySlice<UInt8>) {
            guard bytes.count == 32 else { return nil }
            words = bytes.withUnsafeBytes {
                $0.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self)
            }
        }

        var bytes: [UInt8] { withUnsafeBytes(of: words) { Array($0) } }

        static func == (left: Self, right: Self) -> Bool { left.words == right.words }

        func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
    }

    private struct State {
        var young: [Digest: CallResult] = [:]
        var old: [Digest: CallResult] = [:]
        var youngBytes = 0
        /// Nil until it is read.
        var pairs: [Digest: Digest]?
        var order: [Digest] = []
        /// Pairs that are not on disk yet.
        var unwritten: [UInt8] = []
    }

    private let path: String
    private let state = Mutex(State())
    /// Held while the file is written: nobody waits for that who looks for a result.
    private let file = Mutex(())

    /// A memory of results whose pairs are in a file.
    init(_ path: String) {
        self.path = path
    }

    /// A result that is in memory.
    func result(of call: CID) -> CallResult? {
        guard let key = Digest(call) else { return nil }
        let (result, _) = state.withLock { state -> (CallResult?, [Digest: CallResult]) in
            if let result = state.young[key] { return (result, [:]) }
            guard let result = state.old.removeValue(forKey: key) else { return (nil, [:]) }
            return (result, Self.insert(key, result, &state))
        }
        return result
    }

    /// The name of the record of a call's result, if one is known.
    func record(of call: CID) -> CID? {
        guard let key = Digest(call) else { return nil }
        let digest = state.withLock { state in
            read(&state)
            return state.pairs?[key]
        }
        guard let digest else { return nil }
        return CID(.dagCBOR, Multihash(code: .sha2_256, digest: digest.bytes))
    }

    /// Keeps a result.
    func keep(_ result: CallResult, of call: CID) {
        guard let key = Digest(call), let record = Digest(result.cid) else { return }
        let pair = key.bytes + record.bytes
        let (isFull, _) = state.withLock { state -> (Bool, [Digest: CallResult]) in
            let gone = Self.insert(key, result, &state)
            read(&state)
            guard state.pairs?.updateValue(record, forKey: key) != record else {
                return (false, gone)
            }
            state.order.append(key)
            if state.order.count >= 2 * Self.maxPairs {
                shrink(&state)
                return (false, gone)
            }
            state.unwritten += pair
            return (state.unwritten.count >= Self.writeBytes, gone)
        }
        if isFull { flush() }
    }

    /// Puts a result into memory; gives those that are forgotten for it, to be let go of by whoever
    /// does not hold the lock.
    private static func insert(
        _ key: Digest, _ result: CallResult, _ state: inout State
    ) -> [Digest: CallResult] {
        let bytes = result.memoryBytes
        guard bytes <= maxBytes / 4 else { return [:] }
        var gone: [Digest: CallResult] = [:]
        if state.youngBytes + bytes > maxBytes / 2 {
            gone = state.old
            state.old = state.young
            state.young = [:]
            state.youngBytes = 0
        }
        if state.young.updateValue(result, forKey: key) == nil { state.youngBytes += bytes }
        return gone
    }

    private func read(_ state: inout State) {
        guard state.pairs == nil else { return }
        var pairs: [Digest: Digest] = [:]
        // A file that cannot be read costs time, nothing else. A torn end is no pair.
        let bytes = (try? SmallFile.read(path, limit: 3 * Self.maxPairs * Self.pairBytes)) ?? []
        for start in stride(from: 0, through: bytes.count - Self.pairBytes, by: Self.pairBytes) {
            guard let call = Digest(bytes[start..<start + 32]),
                let record = Digest(bytes[start + 32..<start + 64])
            else { continue }
            if pairs.updateValue(record, forKey: call) == nil { state.order.append(call) }
        }
        state.pairs = pairs
    }

    /// Forgets the older half.
    private func shrink(_ state: inout State) {
        let gone = state.order.prefix(state.order.count - Self.maxPairs)
        for key in gone { state.pairs?[key] = nil }
        state.order.removeFirst(gone.count)
        var bytes: [UInt8] = []
        for key in state.order {
            if let record = state.pairs?[key] { bytes += key.bytes + record.bytes }
        }
        state.unwritten = []
        // As above.
        try? SmallFile.replace(path, with: bytes)
    }

    /// Writes what is not on disk yet.
    func flush() {
        file.withLock { _ in
            let bytes = state.withLock { state in
                defer { state.unwritten = [] }
                return state.unwritten
            }
            guard !bytes.isEmpty else { return }
            let file = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
            guard file >= 0 else { return }
            _ = Glibc.write(file, bytes, bytes.count)
            close(file)
        }
    }
}
