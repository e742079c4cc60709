// Reading an archive of either version as a stream, block by block, without holding or copying
// the blocks (ipld.io/specs/transport/car).

public import Multiformats
public import Wire

/// A reader of one archive. It is asked again and again with the bytes that have been received
/// and not yet consumed, and says what it found at their start.
///
/// It bounds what it asks for by ``CAR/maxHeaderBytes`` and ``CAR/maxSectionBytes`` before anyone
/// allocates it. It does not compare blocks with their CIDs; whoever keeps them does.
public struct CARReader: Sendable {
    /// What stands at the start of the bytes that were shown.
    public enum Step: Equatable, Sendable {
        /// Nothing whole yet: come back with at least `total` bytes, or ``CARReader/finish(_:)``
        /// if there are no more.
        case needMore(total: Int)
        /// The header; drop `consumed` bytes.
        case header(roots: [CID], consumed: Int)
        /// A block, whose bytes lie at `payload`; then drop `consumed` bytes. With
        /// ``Sections/heads`` both may end behind the bytes that have been shown.
        case section(cid: CID, payload: Range<Int>, consumed: Int)
        /// Bytes without meaning here; drop that many, which may be more than have been shown.
        case skip(UInt64)
        /// The last block has been read. What follows (the index of version 2) is not read.
        case end
    }

    /// When a section is told.
    public enum Sections: Sendable {
        /// Once all of it has been shown.
        case whole
        /// Once its CID has been shown, for those who take in the block as it comes.
        case heads
    }

    private enum State {
        /// At the first byte of the archive.
        case start
        /// At the header of the version 1 stream inside version 2.
        case innerHeader
        case sections
        case finished
    }

    private let sections: Sections
    private var state = State.start
    /// How many bytes are left of a version 2 archive's data; nil in version 1, which has no end.
    private var dataRemaining: UInt64?
    /// How many bytes have been consumed; places errors.
    private var position: UInt64 = 0
    /// The header of a version 2 archive, once it has been read.
    public private(set) var v2Header: CARv2Header?

    /// A reader at the first byte of an archive.
    public init(_ sections: Sections = .whole) {
        self.sections = sections
    }

    /// Looks at the bytes that follow what was consumed before.
    public mutating func next(_ bytes: RawSpan) throws(DecodeError) -> Step {
        let step: Step
        do throws(DecodeError) {
            switch state {
            case .start: step = try readStart(bytes)
            case .innerHeader: step = try readHeader(bytes)
            case .sections: step = try readSection(bytes)
            case .finished: step = .end
            }
        } catch {
            throw DecodeError(
                error.kind, error.reason, at: Int(clamping: position) + error.offset)
        }
        switch step {
        case .needMore, .end: break
        case .skip(let count): position += count
        case .header(_, let consumed), .section(_, _, let consumed):
            position += UInt64(consumed)
            if let remaining = dataRemaining { dataRemaining = remaining - UInt64(consumed) }
        }
        return step
    }

    /// Checks that the archive may end here, with `remaining` bytes shown and not consumed.
    public func finish(remaining: Int) throws(DecodeError) {
        switch state {
        case .finished: return
        case .sections where remaining == 0 && (dataRemaining ?? 0) == 0: return
        case .start, .innerHeader, .sections:
            throw DecodeError(
                .truncated, "car: the archive ends within a header or block",
                at: Int(clamping: position) + remaining)
        }
    }

    private mutating func readStart(_ bytes: RawSpan) throws(DecodeError) -> Step {
        // The length of a version 2 pragma; no version 1 header is as short.
        guard bytes.byteCount > 0, bytes.byte(at: 0) == CARv2Header.pragma[0] else {
            return try readHeader(bytes)
        }
        guard bytes.byteCount >= CARv2Header.pragma.count else {
            return .needMore(total: CARv2Header.pragma.count)
        }
        guard
            (CARv2Header.pragma.indices.allSatisfy { bytes.byte(at: $0) == CARv2Header.pragma[$0] })
        else { return try readHeader(bytes) }
        guard bytes.byteCount >= CARv2Header.size else {
            return .needMore(total: CARv2Header.size)
        }
        let header = try CARv2Header(decoding: bytes.extracting(..<CARv2Header.size))
        v2Header = header
        dataRemaining = header.dataSize
        state = .innerHeader
        return .skip(header.dataOffset)
    }

    private mutating func readHeader(_ bytes: RawSpan) throws(DecodeError) -> Step {
        let limit = CAR.maxHeaderBytes
        switch try readFrame(bytes, limit: limit) {
        case .incomplete(_, let total): return .needMore(total: total)
        case .complete(let content):
            let roots: [CID]
            do throws(DecodeError) {
                roots = try CAR.roots(inHeader: bytes.extracting(content))
            } catch {
                throw DecodeError(error.kind, error.reason, at: content.lowerBound + error.offset)
            }
            state = .sections
            return .header(roots: roots, consumed: content.upperBound)
        }
    }

    private mutating func readSection(_ bytes: RawSpan) throws(DecodeError) -> Step {
        if dataRemaining == 0 {
            state = .finished
            return .end
        }
        let content: Range<Int>
        switch try readFrame(bytes, limit: CAR.maxSectionBytes) {
        case .complete(let range): content = range
        case .incomplete(let start, let total):
            guard sections == .heads, let start else { return .needMore(total: total) }
            content = start..<total
        }
        guard !content.isEmpty else {
            throw DecodeError(.malformed, "car: a section of length zero")
        }
        let shown = content.clamped(to: 0..<bytes.byteCount)
        var reader = ByteReader(bytes.extracting(shown))
        let cid: CID
        do throws(DecodeError) {
            cid = try reader.readCID()
        } catch  where error.kind == .truncated && shown.upperBound < content.upperBound {
            return .needMore(total: bytes.byteCount + 1)
        } catch {
            throw DecodeError(error.kind, error.reason, at: content.lowerBound + error.offset)
        }
        let payload = (content.lowerBound + reader.offset)..<content.upperBound
        guard payload.count <= BlockLimits.maxBytes else {
            throw DecodeError(.overLimit, "car: a block is larger than 2 MiB")
        }
        return .section(cid: cid, payload: payload, consumed: content.upperBound)
    }

    private enum Frame {
        /// Where the content begins, if its length has been read, and how much is needed.
        case incomplete(start: Int?, total: Int)
        case complete(Range<Int>)
    }

    /// Finds the content behind a length at the start of `bytes`.
    private func readFrame(_ bytes: RawSpan, limit: Int) throws(DecodeError) -> Frame {
        var length: UInt64 = 0
        var index = 0
        while true {
            guard index < Varint.maxLength else {
                throw DecodeError(.malformed, "car: a length is too long")
            }
            guard index < bytes.byteCount else {
                return try incomplete(start: nil, total: index + 1)
            }
            let byte = bytes.byte(at: index)
            length |= UInt64(byte & 0x7f) << (7 * UInt64(index))
            index += 1
            if byte < 0x80 {
                guard byte != 0 || index == 1 else {
                    throw DecodeError(.notCanonical, "car: a length is padded")
                }
                break
            }
        }
        guard length <= UInt64(limit) else {
            throw DecodeError(.overLimit, "car: a header or section is over the limit")
        }
        let end = index + Int(length)
        guard UInt64(end) <= dataRemaining ?? .max else {
            throw DecodeError(.malformed, "car: a section ends behind the archive's data")
        }
        return end <= bytes.byteCount
            ? .complete(index..<end) : try incomplete(start: index, total: end)
    }

    private func incomplete(start: Int?, total: Int) throws(DecodeError) -> Frame {
        guard UInt64(total) <= dataRemaining ?? .max else {
            throw DecodeError(.truncated, "car: the archive's data ends within a section")
        }
        return .incomplete(start: start, total: total)
    }
}
