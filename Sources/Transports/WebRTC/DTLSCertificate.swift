// The certificate of WebRTC connections: peers learn its hash from this node's addresses
// (github.com/libp2p/specs, webrtc/webrtc-direct.md, "Certificate hash"), so it has to last.

import Crypto
import Cryptography
import FoundationEssentials
import Multiformats
import SwiftASN1
import X509

/// A certificate that is signed by its own key, with that key.
public struct DTLSCertificate: Sendable {
    /// DER of the certificate.
    let certificate: [UInt8]
    /// DER of the private key (SEC 1).
    let privateKey: [UInt8]

    /// How long it is valid; no longer than a person runs a node.
    private static let validity: TimeInterval = 100 * 365 * 86_400
    /// For peers whose clock is behind ours.
    private static let leeway: TimeInterval = 86_400

    /// A new one.
    public init() throws {
        let key = P256.Signing.PrivateKey()
        let name = try DistinguishedName { CommonName("libp2p") }
        let made = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(),
            publicKey: Certificate.PublicKey(key.publicKey),
            notValidBefore: Date(timeIntervalSinceNow: -Self.leeway),
            notValidAfter: Date(timeIntervalSinceNow: Self.validity), issuer: name, subject: name,
            signatureAlgorithm: .ecdsaWithSHA256, extensions: Certificate.Extensions([]),
            issuerPrivateKey: Certificate.PrivateKey(key))
        var serializer = DER.Serializer()
        try serializer.serialize(made)
        certificate = serializer.serializedBytes
        privateKey = try Self.encode(key)
    }

    /// Reads what ``pem`` wrote.
    public init(pem: String) throws {
        let documents = try PEMDocument.parseMultiple(pemString: pem)
        guard let first = documents.first(where: { $0.discriminator == "CERTIFICATE" }),
            let second = documents.first(where: { $0.discriminator.hasSuffix("PRIVATE KEY") })
        else { throw TransportError.tls("the file has no certificate with its private key") }
        let key = try P256.Signing.PrivateKey(derRepresentation: second.derBytes)
        let read = try Certificate(derEncoded: first.derBytes)
        guard read.publicKey == Certificate.PublicKey(key.publicKey) else {
            throw TransportError.tls("the private key is not that of the certificate")
        }
        certificate = first.derBytes
        privateKey = try Self.encode(key)
    }

    /// The certificate and its private key as text, for a file that nobody else may read.
    public var pem: String {
        PEMDocument(type: "CERTIFICATE", derBytes: certificate).pemString + "\n"
            + PEMDocument(type: "EC PRIVATE KEY", derBytes: privateKey).pemString + "\n"
    }

    /// The SHA2-256 of the certificate.
    var fingerprint: [UInt8] { SHA256.hash(certificate.span.bytes) }

    /// The part of an address that names the certificate.
    var component: Multiaddr.Component {
        get throws { try Multiaddr.Component(.certhash, [0x12, 0x20] + fingerprint) }
    }

    /// The private key as OpenSSL reads it for a curve that is known (RFC 5915).
    private static func encode(_ key: P256.Signing.PrivateKey) throws -> [UInt8] {
        var serializer = DER.Serializer()
        try serializer.appendConstructedNode(identifier: .sequence) { node in
            try node.serialize(1)
            try node.serialize(ASN1OctetString(contentBytes: Array(key.rawRepresentation)[...]))
            try node.serialize(
                ASN1ObjectIdentifier.NamedCurves.secp256r1,
                explicitlyTaggedWithTagNumber: 0, tagClass: .contextSpecific)
            try node.serialize(
                ASN1BitString(bytes: Array(key.publicKey.x963Representation)[...]),
                explicitlyTaggedWithTagNumber: 1, tagClass: .contextSpecific)
        }
        return serializer.serializedBytes
    }
}
