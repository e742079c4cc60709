// What a responder signs before it shows the output: which call and which question it answers, what
// that used, and a commitment to the result, so that nobody can copy it and it cannot be changed.

import Cryptography
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
    public var encoded: [UInt8] {
        var map = CanonicalWriter(fields: 5)
        map.write("gas", gas)
        map.write("call", call)
        map.write("nonce", nonce)
        map.write("price", UInt64(price.rate))
        map.write("commit", commitment)
        return map.bytes
    }

    /// What stands for the header in what is signed.
    var hash: [UInt8] { SHA256.hash(encoded.rawSpan) }

    /// Decodes the canonical dag-cbor.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= 512 else {
            throw DecodeError(.overLimit, "call header: longer than 512 bytes")
        }
        var reader = CanonicalReader(bytes)
        try self.init(&reader)
        try reader.end()
    }

    init(_ reader: inout CanonicalReader) throws(DecodeError) {
        try reader.map(fields: 5)
        let gas = try reader.number("gas", upTo: CallLimits.maxGas)
        let call = try reader.link("call")
        let nonceBytes = CallProtocol.nonceBytes
        let nonce = try reader.bytes("nonce", count: nonceBytes...nonceBytes)
        let rate = try reader.number("price", upTo: UInt64(UInt32.max))
        self.init(
            call: call, nonce: nonce, commitment: try reader.bytes("commit", count: 32...32),
            gas: gas, price: Price(rate: UInt32(rate)))
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

    func write(into map: inout CanonicalWriter) {
        map.map(fields: 4)
        map.write("by", responder.bytes)
        map.list("hashes", count: hashes.count)
        for hash in hashes { map.append(hash) }
        map.write("header", encoded: header.encoded)
        map.write("signature", signature)
    }

    init(_ reader: inout CanonicalReader) throws(DecodeError) {
        try reader.map(fields: 4)
        let peer = try reader.peer("by")
        var hashes: [[UInt8]] = []
        for _ in 0..<(try reader.list("hashes", upTo: CallProtocol.maxBatch)) {
            hashes.append(try reader.bytes(count: 32...32))
        }
        try reader.key("header")
        let header = try CallHeader(&reader)
        self.init(
            header, by: peer, hashes: hashes,
            signature: try reader.bytes("signature", count: 1...256))
    }
}
