// What publish-subscribe peers send each other (github.com/libp2p/specs, pubsub and gossipsub).

import Cryptography
public import Multiformats
import Wire

/// A published message.
public struct PubSubMessage: Hashable, Sendable {
    /// Who published it.
    public let author: PeerID
    /// Counts the messages of its author; eight bytes are usual.
    public let sequence: [UInt8]
    /// The topic's name in UTF-8.
    public let topic: [UInt8]
    /// What was published.
    public let data: [UInt8]
    let signature: [UInt8]
    /// The author's key, where its id does not contain it.
    let key: [UInt8]

    /// What tells messages apart: author and sequence.
    public var id: [UInt8] { author.bytes + sequence }

    /// About how many bytes of memory it takes.
    var cost: Int { data.count + topic.count + signature.count + key.count + 256 }

    /// Signs a message.
    init(
        _ data: [UInt8], topic: [UInt8], sequence: UInt64, signingWith key: PrivateKey
    ) throws(SigningError) {
        author = PeerID(key.publicKey)
        var number: [UInt8] = []
        number.appendBigEndian(sequence)
        self.sequence = number
        self.topic = topic
        self.data = data
        self.key = author.publicKey == nil ? key.publicKey.encoded : []
        let body = Self.body(author, data, number, topic)
        signature = try key.sign(Self.signaturePrefix + body)
    }

    /// Decodes a message. All but the key is needed: unsigned messages are not taken.
    init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        var author: PeerID?
        var fields: (data: [UInt8], sequence: [UInt8], topic: [UInt8]) = ([], [], [])
        var signature: [UInt8] = []
        var key: [UInt8] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): author = try PeerID(decoding: try reader.readDelimited())
            case (2, .bytes): fields.data = [UInt8](try reader.readDelimited())
            case (3, .bytes): fields.sequence = [UInt8](try reader.readDelimited())
            case (4, .bytes): fields.topic = [UInt8](try reader.readDelimited())
            case (5, .bytes): signature = [UInt8](try reader.readDelimited())
            case (6, .bytes): key = [UInt8](try reader.readDelimited())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let author, 1...16 ~= fields.sequence.count, !signature.isEmpty,
            fields.topic.count <= PubSubRPC.maxTopicBytes
        else { throw reader.error(.malformed, "pubsub: the message lacks a field") }
        self.author = author
        (data, sequence, topic) = fields
        self.signature = signature
        self.key = key
    }

    var encoded: [UInt8] {
        var out = Self.body(author, data, sequence, topic)
        out.appendField(5, bytes: signature)
        if !key.isEmpty { out.appendField(6, bytes: key) }
        return out
    }

    /// Whether its author signed it.
    var isValid: Bool {
        var signer = author.publicKey
        if signer == nil {
            // A key that cannot be read is not the author's.
            guard let known = try? PublicKey(decoding: key.rawSpan), PeerID(known) == author else {
                return false
            }
            signer = known
        }
        guard let signer else { return false }
        let body = Self.body(author, data, sequence, topic)
        return signer.verify(signature: signature, of: Self.signaturePrefix + body)
    }

    private static let signaturePrefix = Array("libp2p-pubsub:".utf8)

    private static func body(
        _ author: PeerID, _ data: [UInt8], _ sequence: [UInt8], _ topic: [UInt8]
    ) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(data.count + topic.count + 160)
        out.appendField(1, bytes: author.bytes)
        out.appendField(2, bytes: data)
        out.appendField(3, bytes: sequence)
        out.appendField(4, bytes: topic)
        return out
    }
}

/// Everything that one peer tells another at once.
struct PubSubRPC: Hashable, Sendable {
    /// The longest RPC, in bytes.
    static let maxBytes = 1 << 20
    static let maxTopicBytes = 256
    /// How many entries of each kind are read; more are passed over.
    static let maxEntries = 1_024
    /// How many message ids are read in all; more are passed over.
    static let maxIDs = 5_000
    static let maxIDBytes = 128

    /// How many peers are named to one that has to go, and read of such.
    static let maxSuggestions = 16
    /// The longest signed record of a peer that is named, in bytes.
    static let maxRecordBytes = 2_048

    struct Prune: Hashable, Sendable {
        let topic: [UInt8]
        /// For how long not to come back; nil if it is not said.
        var backoffSeconds: UInt64?
        /// Others in the topic, for the one that has to go (peer exchange).
        var suggestions: [Suggestion] = []
    }

    /// A peer that another one names, with its own word of where it is.
    struct Suggestion: Hashable, Sendable {
        let peer: PeerID
        /// A signed envelope, unverified.
        let record: [UInt8]
    }

    struct Have: Hashable, Sendable {
        let topic: [UInt8]
        var ids: [[UInt8]]
    }

    /// Topics with whether they are subscribed to from now on.
    var subscriptions: [(topic: [UInt8], isOn: Bool)] = []
    var messages: [PubSubMessage] = []
    /// How many messages could not be read.
    var unreadable = 0
    var have: [Have] = []
    var want: [[UInt8]] = []
    var graft: [[UInt8]] = []
    var prune: [Prune] = []
    var dontWant: [[UInt8]] = []

    init() {}

    static func == (left: Self, right: Self) -> Bool { left.encoded == right.encoded }

    func hash(into hasher: inout Hasher) { hasher.combine(encoded) }

    init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): try readSubscription(try reader.readDelimited())
            case (2, .bytes):
                let body = try reader.readDelimited()
                guard messages.count + unreadable < Self.maxEntries else { continue }
                // A bad message is its forwarder's fault, and does not spoil the others.
                if let message = try? PubSubMessage(decoding: body) {
                    messages.append(message)
                } else {
                    unreadable += 1
                }
            case (3, .bytes): try readControl(try reader.readDelimited())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
    }

    private mutating func readSubscription(_ body: RawSpan) throws(DecodeError) {
        var reader = ByteReader(body)
        var topic: [UInt8] = []
        var isOn = false
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): isOn = try reader.readProtobufVarint() != 0
            case (2, .bytes): topic = [UInt8](try reader.readDelimited())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard subscriptions.count < Self.maxEntries, topic.count <= Self.maxTopicBytes else {
            return
        }
        subscriptions.append((topic, isOn))
    }

    private mutating func readControl(_ body: RawSpan) throws(DecodeError) {
        var reader = ByteReader(body)
        var ids = 0
        while let tag = try reader.readTag() {
            guard tag.wireType == .bytes else {
                try reader.skipValue(of: tag.wireType)
                continue
            }
            let entry = try Self.readEntry(try reader.readDelimited(), kind: tag.field, &ids)
            switch tag.field {
            case 1 where have.count < Self.maxEntries:
                have.append(Have(topic: entry.topic, ids: entry.ids))
            case 2: want += entry.ids
            case 3 where graft.count < Self.maxEntries: graft.append(entry.topic)
            case 4 where prune.count < Self.maxEntries:
                prune.append(
                    Prune(
                        topic: entry.topic, backoffSeconds: entry.backoff,
                        suggestions: entry.suggestions))
            case 5: dontWant += entry.ids
            default: break
            }
        }
    }

    /// Reads one entry of a control message. Message ids are in the second field where there is a
    /// topic, and otherwise in the first.
    private static func readEntry(
        _ body: RawSpan, kind: UInt64, _ count: inout Int
    ) throws(DecodeError) -> Entry {
        var reader = ByteReader(body)
        var entry = Entry()
        let isBare = kind == 2 || kind == 5
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes) where !isBare:
                entry.topic = [UInt8](try reader.readDelimited().prefix(maxTopicBytes))
            case (1, .bytes),
                (2, .bytes) where kind == 1:
                let id = try reader.readDelimited()
                count += 1
                guard count <= maxIDs, id.byteCount <= maxIDBytes else { continue }
                entry.ids.append([UInt8](id))
            case (2, .bytes) where kind == 4:
                let named = try reader.readDelimited()
                guard entry.suggestions.count < maxSuggestions else { continue }
                if let peer = try readSuggestion(named) { entry.suggestions.append(peer) }
            case (3, .varint) where kind == 4: entry.backoff = try reader.readProtobufVarint()
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        return entry
    }

    /// One entry of a control message, of any kind.
    private struct Entry {
        var topic: [UInt8] = []
        var ids: [[UInt8]] = []
        var backoff: UInt64?
        var suggestions: [Suggestion] = []
    }

    /// Reads a peer that is named; nil without a signed record, because nothing less is believed.
    private static func readSuggestion(_ body: RawSpan) throws(DecodeError) -> Suggestion? {
        var reader = ByteReader(body)
        var peer: PeerID?
        var record: [UInt8] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            // An unreadable id is one of a kind that this version does not know.
            case (1, .bytes): peer = try? PeerID(decoding: try reader.readDelimited())
            case (2, .bytes):
                let bytes = try reader.readDelimited()
                if bytes.byteCount <= maxRecordBytes { record = [UInt8](bytes) }
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let peer, !record.isEmpty else { return nil }
        return Suggestion(peer: peer, record: record)
    }

    /// Says which messages there are, as far as one RPC goes.
    mutating func tell(_ topic: [UInt8], _ ids: [[UInt8]]) {
        let room = Self.maxIDs - have.reduce(0) { $0 + $1.ids.count }
        if room > 0 { have.append(Have(topic: topic, ids: Array(ids.prefix(room)))) }
    }

    var isEmpty: Bool {
        subscriptions.isEmpty && messages.isEmpty && have.isEmpty && want.isEmpty
            && graft.isEmpty && prune.isEmpty && dontWant.isEmpty
    }

    var encoded: [UInt8] {
        var out: [UInt8] = []
        for (topic, isOn) in subscriptions {
            var body: [UInt8] = []
            body.appendField(1, varint: isOn ? 1 : 0)
            body.appendField(2, bytes: topic)
            out.appendField(1, bytes: body)
        }
        for message in messages { out.appendField(2, bytes: message.encoded) }
        var control: [UInt8] = []
        for entry in have {
            var body: [UInt8] = []
            body.appendField(1, bytes: entry.topic)
            for id in entry.ids { body.appendField(2, bytes: id) }
            control.appendField(1, bytes: body)
        }
        Self.append(want, field: 2, to: &control)
        for topic in graft {
            var body: [UInt8] = []
            body.appendField(1, bytes: topic)
            control.appendField(3, bytes: body)
        }
        for entry in prune {
            var body: [UInt8] = []
            body.appendField(1, bytes: entry.topic)
            for named in entry.suggestions {
                var info: [UInt8] = []
                info.appendField(1, bytes: named.peer.bytes)
                info.appendField(2, bytes: named.record)
                body.appendField(2, bytes: info)
            }
            if let seconds = entry.backoffSeconds { body.appendField(3, varint: seconds) }
            control.appendField(4, bytes: body)
        }
        Self.append(dontWant, field: 5, to: &control)
        if !control.isEmpty { out.appendField(3, bytes: control) }
        return out
    }

    private static func append(_ ids: [[UInt8]], field: UInt64, to out: inout [UInt8]) {
        guard !ids.isEmpty else { return }
        var body: [UInt8] = []
        for id in ids { body.appendField(1, bytes: id) }
        out.appendField(field, bytes: body)
    }
}

extension RawSpan {
    @_lifetime(copy self)
    fileprivate func prefix(_ count: Int) -> RawSpan { extracting(first: count) }
}
