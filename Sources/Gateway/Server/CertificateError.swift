/// Why the certificate of a gateway cannot be used. Nothing is served without it.
public enum CertificateError: Error, Sendable, Hashable, CustomStringConvertible {
    /// One of the two files is not named.
    case missing(key: String, although: String)
    /// A file cannot be read.
    case unreadable(key: String, path: String, reason: String)
    /// A file has no certificate in PEM.
    case noCertificate(path: String)
    /// A file has no private key in PEM.
    case noKey(path: String)
    /// The key is not the one of the certificate.
    case mismatch(certificate: String, key: String)

    public var description: String {
        switch self {
        case .missing(let key, let other):
            "'\(key)' is empty although '\(other)' is set; HTTPS needs both files"
        case .unreadable(let key, let path, let reason):
            "'\(key)' names \(path), which cannot be read: \(reason)"
        case .noCertificate(let path):
            "'gateway.certificate' names \(path), which holds no certificate in PEM"
        case .noKey(let path):
            "'gateway.certificate-key' names \(path), which holds no private key in PEM without "
                + "a passphrase"
        case .mismatch(let certificate, let key):
            "the key in \(key) ('gateway.certificate-key') is not that of the certificate in "
                + "\(certificate) ('gateway.certificate')"
        }
    }
}
