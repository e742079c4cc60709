// What a responder signs before it shows the output: which call and which question it answers, what
// that used, and a commitment to the result, so that nobody can copy it and it cannot be changed.

import Cryptography
import IPLD
public import Multiformats
public import Wire

/// A commitment to a result: a hash that says nothing without its salt.
public enum Commitment {
    /// The commitment to the result of a record.
    ///
    /// - Parameter salt: ``CallProtocol/saltBytes`` random bytes, used once.
    public static func make(salt: [UInt8], record: CallRecord) -> [UInt8] {
        make(salt, outputHash(of: record.output), record.gas, record.outcome, record.cid)
    }

    static func make(
        _ salt: [UInt8], _ outputHash: [UInt8], _ gas: UInt64, _ outcome: Outcome, _ root: CID
    ) -> [UInt8] {
        var text = Array("weft-call-commit".utf8)
        text += salt
        text += outputHash
        text.appendBigEndian(gas)
        text.append(outcome.rawValue)
        text += root.bytes
        return SHA256.hash(text.rawSpan)
    }

    /// The hash of an output's dag-cbor, or of null if there is none.
    public static func outputHash(of output: CallOutput?) -> [UInt8] {
        SHA256.hash(CallOutput.encoded(output).rawSpan)
    }
}

/// What a responder signs of one answer.
public struct CallHeader: Hashable, Sendable {
    /// The call that is answered.
    public let call: CID
    /// The nonce of the question, so that an old answer is no answer.
    public let nonce: [UInt8]
    /// The ``Commitment`` to the result.
    public let commitment: [UInt8]
    /// The gas that it used, which is what is paid for.
    public let gas: UInt64
    /// What that gas costs.
    public let price: Price

    /// The header of an answer.
    public init(call: CID, nonce: [UInt8], commitment: [UInt8], gas: UInt64, price: Price) {
        precondition(nonce.count == CallProtocol.nonceBytes && commitment.count == 32)
        self.call = call
        self.nonce = nonce
        self.commitment = commitment
        self.gas = gas
        self.price = price
    }

    /// What the answer costs, in credits.
    public var amount: UInt64 { price.amount(for: gas) }

    /// The canonical dag-cbor.
    public var encoded: [UInt8] { CanonicalMap.encode(value) }

    /// What stands for the header in what is signed.
    var hash: [UInt8] { SHA256.hash(encoded.rawSpan) }

    var value: Value {
        .map([
            Value.Entry("gas", .integer(Int128(gas))), Value.Entry("call", .link(call)),
            Value.Entry("nonce", .bytes(nonce)),
            Value.Entry("price", .integer(Int128(price.rate))),
            Value.Entry("commit", .bytes(commitment)),
        ])
    }

    /// Decodes the canonical dag-cbor.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= 512 else {
            throw DecodeError(.overLimit, "call header: longer than 512 bytes")
        }
        try self.init(try DagCBOR.decode(bytes))
    }

    init(_ value: Value) throws(DecodeError) {
        let map = try CanonicalMap(value, fields: 5)
        let nonceBytes = CallProtocol.nonceBytes
        self.init(
            call: try map.link("call"),
            nonce: try map.bytes("nonce", count: nonceBytes...nonceBytes),
            commitment: try map.bytes("commit", count: 32...32),
            gas: try map.number("gas", upTo: CallLimits.maxGas),
            price: Price(rate: UInt32(try map.number("price", upTo: UInt64(UInt32.max)))))
    }
}

/// A header with the signature that covers it, perhaps together with others. It proves to anybody
/// what the responder has said.
public struct SignedHeader: Hashable, Sendable {
    /// What was signed.
    public let header: CallHeader
    /// Who signed it. The key is in the identity.
    public let responder: PeerID
    /// The hashes of all headers that the signature covers, in order.
    public let hashes: [[UInt8]]
    /// The signature of the hashes.
    public let signature: [UInt8]

    /// A header that was signed with others, whose hashes these are.
    public init(
        _ header: CallHeader, by responder: PeerID, hashes: [[UInt8]], signature: [UInt8]
    ) {
        self.header = header
        self.responder = responder
        self.hashes = hashes
        self.signature = signature
    }

    /// What is signed of these headers.
    public static func message(_ hashes: [[UInt8]]) -> [UInt8] {
        var payload: [UInt8] = []
        payload.reserveCapacity(32 * hashes.count)
        for hash in hashes { payload += hash }
        return SignedEnvelope.message(
            CallProtocol.headerDomain, CallProtocol.name.utf8, payload)
    }

    /// Whether the responder has signed this header. Always false where no cryptographic library
    /// is compiled in, and for identities that do not contain their key.
    public var isValid: Bool {
        guard isCovered, let key = responder.publicKey else { return false }
        return key.verify(signature: signature, of: Self.message(hashes))
    }

    /// Whether the header is among what the signature covers, whoever made that.
    var isCovered: Bool { hashes.count <= CallProtocol.maxBatch && hashes.contains(header.hash) }

    var value: Value {
        .map([
            Value.Entry("header", header.value), Value.Entry("by", .bytes(responder.bytes)),
            Value.Entry("hashes", .list(hashes.map { .bytes($0) })),
            Value.Entry("signature", .bytes(signature)),
        ])
    }

    init(_ value: Value) throws(DecodeError) {
        let map = try CanonicalMap(value, fields: 4)
        var hashes: [[UInt8]] = []
        for element in try map.list("hashes", upTo: CallProtocol.maxBatch) {
            guard case .bytes(let hash) = element, hash.count == 32 else {
                throw DecodeError(.malformed, "evidence: a hash has 32 bytes")
            }
            hashes.append(hash)
        }
        let peer = try map.bytes("by", count: 1...Multihash.maxDigestLength)
        self.init(
            try CallHeader(try map.value("header")), by: try PeerID(decoding: peer.rawSpan),
            hashes: hashes, signature: try map.bytes("signature", count: 1...256))
    }
}
