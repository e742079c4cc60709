public import Multiformats

/// A message that is to be sent, as pieces: bytes that are known, and blocks that whoever sends it
/// reads from the store.
///
/// The length is known before a block has been read, so the sender can write the length, then read
/// each block straight into the memory it sends from. No machine here holds a block's bytes. If a
/// block is gone by then, or is not as long as it was said to be, the sender reports the message
/// as failed and resets the stream, because half a message cannot be taken back.
public struct OutgoingMessage: Hashable, Sendable {
    /// A part of a message.
    public enum Piece: Hashable, Sendable {
        /// These bytes.
        case bytes([UInt8])
        /// The block that this CID names, which is `byteCount` bytes long.
        case block(CID, byteCount: Int)
    }

    /// The parts in the order in which they are sent.
    public private(set) var pieces: [Piece] = []
    /// The length of the whole message in bytes, without the varint that comes before it.
    public private(set) var byteCount = 0
    /// How many of those bytes are blocks.
    public private(set) var blockBytes = 0

    /// An empty message.
    public init() {}

    /// A message of known bytes.
    public init(_ bytes: [UInt8]) {
        append(bytes)
    }

    /// Whether nothing is in it.
    public var isEmpty: Bool { byteCount == 0 }

    /// Adds bytes at the end.
    public mutating func append(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        byteCount += bytes.count
        if case .bytes(var last) = pieces.last {
            pieces.removeLast()
            last.append(contentsOf: bytes)
            pieces.append(.bytes(last))
        } else {
            pieces.append(.bytes(bytes))
        }
    }

    /// Adds a block at the end.
    public mutating func append(block cid: CID, byteCount count: Int) {
        byteCount += count
        blockBytes += count
        pieces.append(.block(cid, byteCount: count))
    }
}
