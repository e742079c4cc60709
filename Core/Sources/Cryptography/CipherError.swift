/// Why a key agreement or a cipher gave no result.
public enum CipherError: Error, Hashable, Sendable {
    /// The bytes are no key, or one that gives everybody the same secret.
    case invalidKey
    /// The text was changed on its way, or was made with another key.
    case forged
    /// This build has no implementation. The browser's module brings its own.
    case unsupported
}

extension CipherError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalidKey: "the bytes are no usable key"
        case .forged: "the encrypted bytes were changed, or the key is another"
        case .unsupported: "this build has no such cipher"
        }
    }
}
