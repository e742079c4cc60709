// What the hash functions of FIPS 180-4 have in common: how a message that comes in pieces is taken
// in, on the host by swift-crypto, elsewhere by chaining a compression function over its blocks.

#if HostCrypto
    import Crypto

    /// A message that swift-crypto hashes.
    struct HostMessage<Function: HashFunction & Sendable>: Sendable
    where Function.Digest: DigestBytes {
        private var function = Function()

        /// Takes in the next piece of the message.
        mutating func update(_ bytes: RawSpan) {
            unsafe bytes.withUnsafeBytes { unsafe function.update(bufferPointer: $0) }
        }

        /// The digest of the whole message.
        consuming func finalize() -> [UInt8] {
            function.finalize().bytes
        }
    }

    /// A digest of swift-crypto, whose generic form is read byte by byte alone.
    protocol DigestBytes {
        var bytes: [UInt8] { get }
    }

    extension Insecure.SHA1Digest: DigestBytes {
        var bytes: [UInt8] { unsafe withUnsafeBytes { unsafe Array($0) } }
    }

    extension SHA256Digest: DigestBytes {
        var bytes: [UInt8] { unsafe withUnsafeBytes { unsafe Array($0) } }
    }

    extension SHA384Digest: DigestBytes {
        var bytes: [UInt8] { unsafe withUnsafeBytes { unsafe Array($0) } }
    }

    extension SHA512Digest: DigestBytes {
        var bytes: [UInt8] { unsafe withUnsafeBytes { unsafe Array($0) } }
    }
#else
    import Wire

    /// What tells one of these functions from another.
    protocol Compression {
        associatedtype State: Sendable

        /// In bytes.
        static var blockSize: Int { get }
        static var start: State { get }

        /// Mixes one or more whole blocks into the state.
        static func compress(_ state: inout State, _ blocks: RawSpan)

        static func digest(of state: State) -> [UInt8]
    }

    /// A message that is hashed here.
    struct ChainedMessage<Function: Compression>: Sendable {
        private var state = Function.start
        private var buffer = BlockBuffer(blockSize: Function.blockSize, last: .released)
        private var length: UInt64 = 0

        /// Takes in the next piece of the message.
        mutating func update(_ bytes: RawSpan) {
            length += UInt64(bytes.byteCount)
            var state = self.state
            buffer.absorb(bytes) { Function.compress(&state, $0) }
            self.state = state
        }

        /// The digest of the whole message.
        consuming func finalize() -> [UInt8] {
            // The length takes an eighth of a block.
            let end = buffer.paddedEnd(length: length, lengthSize: Function.blockSize / 8)
            Function.compress(&state, end.rawSpan)
            return Function.digest(of: state)
        }
    }
#endif
