// The certificate that we show in TLS (github.com/libp2p/specs, tls): a key that exists nowhere
// else, signed by itself, with our identity in an extension.

import Connections
import Crypto
import FoundationEssentials
import Multiformats
import NIOSSL
import SwiftASN1
import Wire
import X509

/// Our side of every TLS handshake. Made once, used for all connections.
struct TLSCertificate: Sendable {
    /// The muxer's name first, so that it is agreed on in the handshake.
    static let applicationProtocols = [
        ConnectionOptions.muxer.description, TLSIdentity.alpn,
    ]

    let server: NIOSSLContext
    let client: NIOSSLContext

    /// How long the certificate is valid; no longer than a person runs a node.
    private static let validity: TimeInterval = 100 * 365 * 86_400
    /// For peers whose clock is behind ours.
    private static let leeway: TimeInterval = 3_600

    init(_ identity: PrivateKey) throws {
        let key = P256.Signing.PrivateKey()
        let publicKey = Certificate.PublicKey(key.publicKey)
        let proof = try TLSIdentity(identity, certificateKey: publicKey.encoded)
        let name = try DistinguishedName { CommonName("libp2p") }
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: publicKey,
            notValidBefore: Date(timeIntervalSinceNow: -Self.leeway),
            notValidAfter: Date(timeIntervalSinceNow: Self.validity), issuer: name, subject: name,
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: Certificate.Extensions([
                Certificate.Extension(
                    oid: ASN1ObjectIdentifier.peerIdentity, critical: false,
                    value: proof.encoded[...])
            ]),
            issuerPrivateKey: Certificate.PrivateKey(key))
        var serializer = DER.Serializer()
        try serializer.serialize(certificate)
        let chain = [
            NIOSSLCertificateSource.certificate(
                try NIOSSLCertificate(bytes: serializer.serializedBytes, format: .der))
        ]
        let secret = NIOSSLPrivateKeySource.privateKey(
            try NIOSSLPrivateKey(bytes: Array(key.derRepresentation), format: .der))
        server = try NIOSSLContext(
            configuration: Self.common(
                .makeServerConfiguration(certificateChain: chain, privateKey: secret)))
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateChain = chain
        configuration.privateKey = secret
        client = try NIOSSLContext(configuration: Self.common(configuration))
    }

    private static func common(_ base: TLSConfiguration) -> TLSConfiguration {
        var configuration = base
        configuration.minimumTLSVersion = .tlsv13
        configuration.maximumTLSVersion = .tlsv13
        configuration.applicationProtocols = applicationProtocols
        // Both sides show a certificate; what it must be like is for our own check.
        configuration.certificateVerification = .noHostnameVerification
        configuration.trustRoots = .certificates([])
        return configuration
    }

    /// The peer that the certificates of a handshake belong to.
    static func peer(of chain: [NIOSSLCertificate]) throws(TransportError) -> PeerID {
        guard chain.count == 1 else { throw .tls("the peer shows more than one certificate") }
        do {
            return try peer(ofDER: try chain[0].toDERBytes())
        } catch let error as TransportError {
            throw error
        } catch {
            throw .tls("the peer's certificate cannot be read: \(error)")
        }
    }

    private static func peer(ofDER bytes: [UInt8]) throws -> PeerID {
        let certificate = try Certificate(derEncoded: bytes)
        let now = Date()
        guard certificate.notValidBefore <= now, now <= certificate.notValidAfter else {
            throw TransportError.tls(
                "the peer's certificate is not valid today; check the clocks of both")
        }
        guard certificate.publicKey.isValidSignature(certificate.signature, for: certificate)
        else { throw TransportError.tls("the peer's certificate is not signed by its own key") }
        for item in certificate.extensions
        where item.critical && item.oid != ASN1ObjectIdentifier.peerIdentity
            && !understood.contains(item.oid)
        {
            throw TransportError.tls("the peer's certificate asks for what is not known here")
        }
        guard let content = certificate.extensions[oid: .peerIdentity]?.value else {
            throw TransportError.tls("the peer's certificate says nothing about its identity")
        }
        let identity = try TLSIdentity(decoding: content.rawSpan)
        guard let peer = identity.peer(certificateKey: try certificate.publicKey.encoded) else {
            throw TransportError.tls("the peer's identity has not signed its certificate")
        }
        return peer
    }

    /// Critical extensions that make no difference between two peers.
    private static let understood: [ASN1ObjectIdentifier] = [
        .X509ExtensionID.basicConstraints, .X509ExtensionID.keyUsage,
        .X509ExtensionID.extendedKeyUsage,
    ]
}

extension ASN1ObjectIdentifier {
    fileprivate static let peerIdentity: ASN1ObjectIdentifier = [1, 3, 6, 1, 4, 1, 53594, 1, 1]
}

extension Certificate.PublicKey {
    /// DER of the SubjectPublicKeyInfo.
    fileprivate var encoded: [UInt8] {
        get throws {
            var serializer = DER.Serializer()
            try serializer.serialize(self)
            return serializer.serializedBytes
        }
    }
}
