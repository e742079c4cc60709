// IPNS records: a signed statement of what a key's name points to
// (specs.ipfs.tech/ipns/ipns-record). What counts is the signed dag-cbor document; the protobuf
// fields around it repeat it for old readers and are never trusted alone.

public import Cryptography
public import Multiformats
public import Wire

/// An IPNS record as it was read or made. A record that was read proves nothing before
/// ``validate(for:at:)``.
public struct IPNSRecord: Hashable, Sendable {
    /// The longest record, in bytes.
    public static let maxBytes = 10 << 10

    /// What the name points to: a path such as `/ipfs/…` or `/ipns/…`, as bytes.
    public let value: [UInt8]
    /// Until when the record holds.
    public let validUntil: Timestamp
    /// Counts the publications of a name; the highest wins.
    public let sequence: UInt64
    /// For how long a cache may answer without asking again, in nanoseconds.
    public let ttlNanoseconds: UInt64
    /// The record's bytes.
    public let encoded: [UInt8]

    /// The protobuf message; ``encoded`` is its bytes.
    let entry: IPNSEntry

    /// Reads a record without believing it. Throws for one over ``maxBytes``, one without a
    /// version 2 signature and document, and one whose two forms disagree.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        let entry = try IPNSEntry(decoding: bytes)
        guard let data = entry.data, entry.signatureV2 != nil else {
            throw DecodeError(
                .unsupported, "ipns: a record without a version 2 signature proves nothing")
        }
        let document = try IPNSDocument(decoding: data.rawSpan)
        try Self.checkAgreement(of: entry, with: document)
        self.entry = entry
        encoded = [UInt8](bytes)
        value = document.value
        sequence = document.sequence
        ttlNanoseconds = document.ttl
        validUntil = try Timestamp(rfc3339: document.validity.rawSpan)
    }

    /// What the name points to, as text; nil if it is not UTF-8.
    public var path: String? { String(validating: value, as: UTF8.self) }

    /// The key under which a name's record is kept in the DHT and in PubSub: `/ipns/` and the
    /// multihash.
    public static func routingKey(of name: PeerID) -> [UInt8] {
        Array("/ipns/".utf8) + name.bytes
    }

    /// Whether this record replaces `other` of the same name: by its sequence number, then by how
    /// long it holds. Both must be valid.
    public func isNewer(than other: IPNSRecord) -> Bool {
        (sequence, validUntil) > (other.sequence, other.validUntil)
    }
}

extension IPNSRecord {
    /// Why a record does not hold.
    public enum Invalidity: Error, Hashable, Sendable {
        /// The name does not contain its key, and neither does the record.
        case missingKey
        /// The record's key is not that of the name.
        case wrongKey
        /// The signature is not the key's, or is of something else.
        case badSignature
        /// The record held until this time.
        case expired(Timestamp)
    }

    /// Checks that the owner of `name` signed this record and that it holds at `now`.
    ///
    /// The signature is checked first, so an expired record is one that the owner did make.
    public func validate(for name: PeerID, at now: Timestamp) throws(Invalidity) {
        let key = try key(of: name)
        let message = Self.signaturePrefix + (entry.data ?? [])
        guard key.verify(signature: entry.signatureV2 ?? [], of: message) else {
            throw .badSignature
        }
        guard now < validUntil else { throw .expired(validUntil) }
    }

    private func key(of name: PeerID) throws(Invalidity) -> PublicKey {
        if let encoded = entry.publicKey {
            // An unreadable key is not the name's key.
            guard let key = try? PublicKey(decoding: encoded.rawSpan), PeerID(key) == name else {
                throw .wrongKey
            }
            return key
        }
        guard let key = name.publicKey else { throw .missingKey }
        return key
    }

    /// Refuses a record whose protobuf fields say other things than the signed document.
    private static func checkAgreement(
        of entry: IPNSEntry, with document: IPNSDocument
    ) throws(DecodeError) {
        let isV1 = entry.signatureV1 != nil || entry.value != nil
        let value = isV1 ? entry.value ?? [] : entry.value
        let validity = isV1 ? entry.validity ?? [] : entry.validity
        let sequence = isV1 ? entry.sequence ?? 0 : entry.sequence
        let ttl = isV1 ? entry.ttl ?? 0 : entry.ttl
        guard value ?? document.value == document.value,
            validity ?? document.validity == document.validity,
            sequence ?? document.sequence == document.sequence,
            ttl ?? document.ttl == document.ttl,
            entry.validityType ?? 0 == 0
        else {
            throw DecodeError(
                .mismatch, "ipns: the record's fields differ from its signed document")
        }
    }

    /// What stands before the document in the signed message.
    static let signaturePrefix = Array("ipns-signature:".utf8)
}

extension IPNSRecord {
    /// Which signatures a new record carries.
    public enum Form: Hashable, Sendable {
        /// Also the one for readers of before 2021, and the fields that they read.
        case v1AndV2
        /// Only the one that counts.
        case v2
    }

    /// Makes and signs a record. Throws if the key cannot sign here.
    ///
    /// - Parameters:
    ///   - value: a path such as `/ipfs/…`.
    ///   - ttlNanoseconds: for how long a cache may answer from it; five minutes is usual.
    public init(
        value: String, sequence: UInt64, validUntil: Timestamp, ttlNanoseconds: UInt64,
        signingWith key: PrivateKey, form: Form = .v1AndV2
    ) throws(SigningError) {
        let document = IPNSDocument(
            value: Array(value.utf8), validity: Array(validUntil.rfc3339.utf8),
            sequence: sequence, ttl: ttlNanoseconds)
        let data = document.encoded()
        var entry = IPNSEntry()
        entry.data = data
        entry.signatureV2 = try key.sign(Self.signaturePrefix + data)
        if PeerID(key.publicKey).publicKey == nil { entry.publicKey = key.publicKey.encoded }
        if form == .v1AndV2 {
            entry.value = document.value
            entry.validityType = 0
            entry.validity = document.validity
            entry.sequence = sequence
            entry.ttl = ttlNanoseconds
            entry.signatureV1 = try key.sign(
                document.value + document.validity + Array("EOL".utf8))
        }
        self.entry = entry
        self.value = document.value
        self.validUntil = validUntil
        self.sequence = sequence
        self.ttlNanoseconds = ttlNanoseconds
        encoded = entry.encoded()
    }
}
