import Cryptography
import Wire

/// Random numbers that follow from a secret and that nobody else can tell beforehand, however many
/// of them are known: which answers are checked must not follow from nonces that everybody sees.
public struct SecretGenerator: RandomNumberGenerator, Sendable {
    /// Bytes of a secret.
    public static let secretBytes = 32

    private let secret: [UInt8]
    private var counter: UInt64 = 0
    private var left: [UInt8] = []

    /// The generator of a secret of ``secretBytes``, which is used for nothing else.
    public init(secret: [UInt8]) {
        precondition(secret.count == Self.secretBytes, "a secret has 32 bytes")
        self.secret = secret
    }

    /// The next `count` random bytes.
    public mutating func bytes(_ count: Int) -> [UInt8] {
        var out: [UInt8] = []
        while out.count < count {
            if left.isEmpty {
                var text = secret
                text.appendBigEndian(counter)
                counter += 1
                left = SHA256.hash(text.rawSpan)
            }
            let taken = min(count - out.count, left.count)
            out += left.suffix(taken)
            left.removeLast(taken)
        }
        return out
    }

    public mutating func next() -> UInt64 {
        bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
