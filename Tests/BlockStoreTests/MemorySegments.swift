// Segments in memory, which can be made to fail as disks do: be full, tear a write, lose what was
// not synced.

import NIOCore
import Synchronization

@testable import BlockStore

final class MemorySegments: SegmentStorage {
    private struct Segment {
        var bytes: [UInt8] = []
        var synced = 0
    }

    private struct State {
        var segments: [UInt32: Segment] = [:]
        var capacity = Int.max
        var used: Int { segments.values.reduce(0) { $0 + $1.bytes.count } }
    }

    private let state = Mutex(State())

    var bytes: UInt64 {
        state.withLock { state in
            state.segments.values.reduce(0) { $0 + (UInt64($1.bytes.count) + 4095) / 4096 * 4096 }
        }
    }

    /// From now on there is room for this many bytes more; a write that does not fit leaves the
    /// part that does, as a disk would.
    func leaveRoom(_ count: Int?) {
        state.withLock { $0.capacity = count.map { [used = $0.used] in used + $0 } ?? .max }
    }

    /// Loses what was not synced, all or a part of it.
    func crash(_ random: inout Seeded) {
        let sizes = state.withLock { state in
            state.segments.map { ($0.key, $0.value.synced, $0.value.bytes.count) }
        }
        for (number, synced, count) in sizes.sorted(by: { $0.0 < $1.0 }) {
            let kept = Int.random(in: synced...max(synced, count), using: &random)
            state.withLock { state in
                state.segments[number]?.bytes.removeLast(count - kept)
            }
        }
    }

    /// Changes a byte, as a bad disk would.
    func rot(_ number: UInt32, at offset: Int) {
        state.withLock { $0.segments[number]?.bytes[offset] ^= 0x40 }
    }

    func size(_ number: UInt32) -> Int {
        state.withLock { $0.segments[number]?.bytes.count ?? 0 }
    }

    func list() throws(StoreError) -> [(number: UInt32, size: UInt64)] {
        state.withLock { state in
            state.segments.map { ($0.key, UInt64($0.value.bytes.count)) }
        }
    }

    func create(_ number: UInt32) throws(StoreError) {
        state.withLock { $0.segments[number] = Segment() }
    }

    func append(
        _ number: UInt32, at offset: UInt64, _ bytes: [ByteBuffer]
    ) throws(StoreError) {
        let isFull = state.withLock { state in
            var room = max(0, state.capacity - state.used)
            let surplus = max(0, (state.segments[number]?.bytes.count ?? 0) - Int(offset))
            state.segments[number]?.bytes.removeLast(surplus)
            for piece in bytes {
                let part = piece.readableBytesView.prefix(room)
                state.segments[number]?.bytes.append(contentsOf: part)
                room -= part.count
                if part.count < piece.readableBytes { return true }
            }
            return false
        }
        if isFull { throw .diskFull(path: "memory") }
    }

    func read(
        _ number: UInt32, at offset: UInt64, into memory: UnsafeMutableRawBufferPointer,
        _ mode: ReadMode
    ) throws(StoreError) -> SegmentRead {
        guard let bytes = state.withLock({ $0.segments[number]?.bytes }) else { return .noSegment }
        let part = bytes[min(Int(offset), bytes.count)...].prefix(memory.count)
        memory.copyBytes(from: part)
        return .count(part.count)
    }

    func sync(_ number: UInt32) throws(StoreError) {
        state.withLock { state in
            let count = state.segments[number]?.bytes.count ?? 0
            state.segments[number]?.synced = count
        }
    }

    func truncate(_ number: UInt32, to size: UInt64) throws(StoreError) {
        state.withLock { state in
            guard let count = state.segments[number]?.bytes.count, count > Int(size) else {
                return
            }
            state.segments[number]?.bytes.removeLast(count - Int(size))
            let synced = state.segments[number]?.synced ?? 0
            state.segments[number]?.synced = min(synced, Int(size))
        }
    }

    func remove(_ number: UInt32) throws(StoreError) {
        state.withLock { $0.segments[number] = nil }
    }
}
