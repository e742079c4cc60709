// A certificate of the web in two files, read again when they change, because certificates are
// renewed every few weeks and nodes run for longer.

import Glibc
import NIOCore
public import NIOSSL
import Synchronization

/// A certificate chain and its key, in PEM files.
public final class CertificateFiles: Sendable {
    /// Why the files cannot be used.
    public enum Failure: Error, Sendable {
        /// The first file has no certificate.
        case noCertificate
        /// The second has no key.
        case noKey
        /// The key is not the certificate's.
        case mismatch
    }

    private struct Pair: Sendable {
        let chain: [NIOSSLCertificate]
        let key: NIOSSLPrivateKey
        let stamps: [Stamp?]
    }

    /// What tells that a file has changed.
    private struct Stamp: Equatable {
        let seconds: Int
        let nanoseconds: Int
        let size: Int
        let inode: UInt

        init?(_ path: String) {
            var found = stat()
            guard stat(path, &found) == 0 else { return nil }
            seconds = found.st_mtim.tv_sec
            nanoseconds = found.st_mtim.tv_nsec
            size = Int(found.st_size)
            inode = UInt(found.st_ino)
        }
    }

    private let chainFile: String
    private let keyFile: String
    private let current: Mutex<Pair>

    /// Reads the files.
    ///
    /// - Throws: ``Failure``.
    public init(chainFile: String, keyFile: String) throws(Failure) {
        self.chainFile = chainFile
        self.keyFile = keyFile
        current = Mutex(try Self.read(chainFile, keyFile))
    }

    /// The certificates as they are now, the node's own first.
    public var renewedChain: [NIOSSLCertificate] { renewed().chain }

    /// What a server is told. Each handshake takes the files as they are by then; while they do not
    /// fit together, as in the middle of a renewal, those from before.
    public var configuration: TLSConfiguration {
        let pair = current.withLock { $0 }
        var configuration = Self.configuration(pair)
        configuration.sslContextCallback = { [self] _, promise in
            let pair = renewed()
            var change = NIOSSLContextConfigurationOverride()
            change.certificateChain = pair.chain.map { .certificate($0) }
            change.privateKey = .privateKey(pair.key)
            promise.succeed(change)
        }
        return configuration
    }

    private func renewed() -> Pair {
        let pair = current.withLock { $0 }
        guard pair.stamps != [Stamp(chainFile), Stamp(keyFile)] else { return pair }
        guard let new = try? Self.read(chainFile, keyFile) else { return pair }
        current.withLock { $0 = new }
        return new
    }

    private static func configuration(_ pair: Pair) -> TLSConfiguration {
        .makeServerConfiguration(
            certificateChain: pair.chain.map { .certificate($0) },
            privateKey: .privateKey(pair.key))
    }

    private static func read(_ chainFile: String, _ keyFile: String) throws(Failure) -> Pair {
        // Taken before, so that a change while reading is noticed.
        let stamps = [Stamp(chainFile), Stamp(keyFile)]
        guard let chain = try? NIOSSLCertificate.fromPEMFile(chainFile), !chain.isEmpty else {
            throw .noCertificate
        }
        guard let key = try? NIOSSLPrivateKey(file: keyFile, format: .pem) else { throw .noKey }
        let pair = Pair(chain: chain, key: key, stamps: stamps)
        guard (try? NIOSSLContext(configuration: configuration(pair))) != nil else {
            throw .mismatch
        }
        return pair
    }
}
