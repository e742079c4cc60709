// What pages and the nodes that they are connected with tell each other, so that pages with the
// same content find one another (docs/browser.md, "How pages meet").

public import Multiformats
public import Wire

/// One message of the protocol. An empty one from the node says that the page is welcome.
public struct MeetingMessage: Hashable, Sendable {
    /// Who has something.
    public struct Holders: Hashable, Sendable {
        /// What was asked about.
        public let hash: Multihash
        /// The peers that have it, as they say, and are connected with who answers.
        public let peers: [PeerID]

        /// These peers.
        public init(hash: Multihash, peers: [PeerID]) {
            self.hash = hash
            self.peers = peers
        }
    }

    /// The longest message, in bytes.
    public static let maxBytes = 16 << 10
    /// How many hashes one message names, and how many peers an answer.
    public static let maxHashes = 64
    public static let maxPeers = 8

    /// What the page has from now on.
    public var have: [Multihash] = []
    /// What it has no longer.
    public var gone: [Multihash] = []
    /// What it wants to know the holders of.
    public var asked: [Multihash] = []
    /// The node's answers, one for each question.
    public var found: [Holders] = []

    /// An empty message.
    public init() {}

    /// What stands for a protocol where hashes stand for content: pages that do something for
    /// others with it "have" this.
    public static func topic(of name: ProtocolName) -> Multihash {
        Multihash.sha2_256(of: name.utf8.rawSpan)
    }

    /// Reads a message.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): have.append(try Multihash(decoding: try reader.readDelimited()))
            case (2, .bytes): gone.append(try Multihash(decoding: try reader.readDelimited()))
            case (3, .bytes): asked.append(try Multihash(decoding: try reader.readDelimited()))
            case (4, .bytes): found.append(try Self.readHolders(try reader.readDelimited()))
            default: try reader.skipValue(of: tag.wireType)
            }
            guard have.count + gone.count + asked.count + found.count <= Self.maxHashes else {
                throw reader.error(.overLimit, "meeting: too many hashes")
            }
        }
    }

    private static func readHolders(_ body: RawSpan) throws(DecodeError) -> Holders {
        var reader = ByteReader(body)
        var hash: Multihash?
        var peers: [PeerID] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): hash = try Multihash(decoding: try reader.readDelimited())
            case (2, .bytes):
                guard peers.count < maxPeers else {
                    throw reader.error(.overLimit, "meeting: too many peers")
                }
                peers.append(try PeerID(decoding: try reader.readDelimited()))
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let hash else { throw reader.error(.malformed, "meeting: an answer to nothing") }
        return Holders(hash: hash, peers: peers)
    }

    /// The message.
    public var encoded: [UInt8] {
        var out: [UInt8] = []
        for hash in have { out.appendField(1, bytes: hash.bytes) }
        for hash in gone { out.appendField(2, bytes: hash.bytes) }
        for hash in asked { out.appendField(3, bytes: hash.bytes) }
        for holders in found {
            var body: [UInt8] = []
            body.appendField(1, bytes: holders.hash.bytes)
            for peer in holders.peers { body.appendField(2, bytes: peer.bytes) }
            out.appendField(4, bytes: body)
        }
        return out
    }
}
