// ChaCha20-Poly1305 (RFC 8439) with nonces that count, as Noise uses it. It comes from OpenSSL,
// because swift-crypto's interface copies every message three times and OpenSSL encrypts half as
// much again per second (3.0 against 2.0 GB/s, measured).

import Wire

#if HostCrypto
    import CLibcrypto
#endif

/// One direction of an encrypted channel: a key and the number of the next message.
///
/// Text goes from where it lies straight to where it is wanted, in as many pieces as it has, so
/// that each byte is touched once.
@safe public final class ChaChaPoly {
    /// How many bytes a key has.
    public static let keyLength = 32
    /// How many bytes a message grows by.
    public static let tagLength = 16

    /// The number of the next message. No number may ever be used twice with one key.
    public private(set) var nonce: UInt64 = 0

    #if HostCrypto
        /// OpenSSL's state, which this object alone owns.
        private let context: OpaquePointer

        /// A channel with this key, at message 0.
        public init(key: [UInt8]) throws(CipherError) {
            guard key.count == Self.keyLength, let context = unsafe EVP_CIPHER_CTX_new() else {
                throw .invalidKey
            }
            unsafe self.context = unsafe context
            guard
                unsafe EVP_CipherInit_ex(context, EVP_chacha20_poly1305(), nil, key, nil, 1) == 1
            else { throw .invalidKey }
        }

        deinit {
            unsafe EVP_CIPHER_CTX_free(context)
        }
    #else
        /// A channel with this key, at message 0.
        public init(key: [UInt8]) throws(CipherError) {
            throw .unsupported
        }
    #endif
}

#if HostCrypto
    extension ChaChaPoly {
        private enum Direction: Int32 {
            case opening = 0
            case sealing = 1
        }

        /// Starts the next message to send. It is written with ``write(_:to:)`` and ended with
        /// ``finish(into:)``.
        public func start(authenticating data: RawSpan) throws(CipherError) {
            try begin(.sealing, data)
        }

        /// Encrypts the next piece of the message that was started.
        @_lifetime(output: copy output)
        public func write(
            _ piece: RawSpan, to output: inout OutputRawSpan
        ) throws(CipherError) {
            guard piece.byteCount > 0 else { return }
            precondition(piece.byteCount <= output.freeCapacity, "no room for the message")
            var done = false
            unsafe output.withUnsafeMutableBytes { target, count in
                var written: Int32 = 0
                let start = unsafe target.baseAddress.map { unsafe $0 + count }
                done = unsafe piece.withUnsafeBytes { source in
                    unsafe EVP_CipherUpdate(
                        context, start?.assumingMemoryBound(to: UInt8.self), &written,
                        source.baseAddress?.assumingMemoryBound(to: UInt8.self),
                        Int32(source.count)) == 1
                }
                count += done ? Int(written) : 0
            }
            guard done else { throw .forged }
        }

        /// Writes the tag that ends a message, ``tagLength`` bytes.
        @_lifetime(output: copy output)
        public func finish(into output: inout OutputRawSpan) throws(CipherError) {
            precondition(output.freeCapacity >= Self.tagLength, "no room for the tag")
            var done = false
            unsafe output.withUnsafeMutableBytes { target, count in
                var written: Int32 = 0
                guard let base = target.baseAddress else { return }
                let start = unsafe base + count
                done =
                    unsafe EVP_CipherFinal_ex(
                        context, start.assumingMemoryBound(to: UInt8.self), &written) == 1
                    && EVP_CIPHER_CTX_ctrl(
                        context, weft_get_tag, Int32(Self.tagLength), start) == 1
                count += done ? Self.tagLength : 0
            }
            guard done else { throw .forged }
        }

        /// Decrypts the next received message, text and tag, into a new array. After an error the
        /// channel is of no more use.
        public func open(
            _ message: RawSpan, authenticating data: RawSpan
        ) throws(CipherError) -> [UInt8] {
            let length = message.byteCount - Self.tagLength
            guard length >= 0 else { throw .forged }
            try begin(.opening, data)
            var done = false
            let text = unsafe [UInt8](unsafeUninitializedCapacity: length) { target, count in
                done = unsafe decrypt(message, length: length, into: target)
                count = done ? length : 0
            }
            guard done else { throw .forged }
            return text
        }

        private func decrypt(
            _ message: RawSpan, length: Int, into target: UnsafeMutableBufferPointer<UInt8>
        ) -> Bool {
            unsafe message.withUnsafeBytes { source in
                guard let start = source.baseAddress else { return false }
                var written: Int32 = 0
                let tag = unsafe UnsafeMutableRawPointer(mutating: start + length)
                guard
                    unsafe EVP_CIPHER_CTX_ctrl(
                        context, weft_set_tag, Int32(Self.tagLength), tag) == 1
                else { return false }
                if length > 0 {
                    guard
                        unsafe EVP_CipherUpdate(
                            context, target.baseAddress, &written,
                            start.assumingMemoryBound(to: UInt8.self), Int32(length)) == 1
                    else { return false }
                }
                var rest: UInt8 = 0
                return unsafe EVP_CipherFinal_ex(context, &rest, &written) == 1
            }
        }

        /// Takes the next nonce: four zero bytes, then the number, least significant byte first.
        private func begin(_ direction: Direction, _ data: RawSpan) throws(CipherError) {
            // The last number is reserved (Noise, section 5.1); nobody lives to see it.
            guard nonce < .max else { throw .invalidKey }
            var bytes: [UInt8] = [0, 0, 0, 0]
            bytes.appendLittleEndian(nonce)
            nonce += 1
            var done =
                unsafe EVP_CipherInit_ex(
                    context, nil, nil, nil, bytes, direction.rawValue) == 1
            if done, data.byteCount > 0 {
                var written: Int32 = 0
                done = unsafe data.withUnsafeBytes {
                    unsafe EVP_CipherUpdate(
                        context, nil, &written, $0.baseAddress?.assumingMemoryBound(to: UInt8.self),
                        Int32($0.count)) == 1
                }
            }
            guard done else { throw .invalidKey }
        }
    }
#else
    extension ChaChaPoly {
        /// Starts the next message to send.
        public func start(authenticating data: RawSpan) throws(CipherError) {
            throw .unsupported
        }

        /// Encrypts the next piece of the message that was started.
        @_lifetime(output: copy output)
        public func write(
            _ piece: RawSpan, to output: inout OutputRawSpan
        ) throws(CipherError) {
            throw .unsupported
        }

        /// Writes the tag that ends a message.
        @_lifetime(output: copy output)
        public func finish(into output: inout OutputRawSpan) throws(CipherError) {
            throw .unsupported
        }

        /// Decrypts the next received message, text and tag, into a new array.
        public func open(
            _ message: RawSpan, authenticating data: RawSpan
        ) throws(CipherError) -> [UInt8] {
            throw .unsupported
        }
    }
#endif

extension ChaChaPoly {
    /// Encrypts a whole message, text and tag, into a new array.
    public func seal(
        _ text: RawSpan, authenticating data: RawSpan
    ) throws(CipherError) -> [UInt8] {
        try start(authenticating: data)
        return try [UInt8](capacity: text.byteCount + Self.tagLength) {
            (output: inout OutputRawSpan) throws(CipherError) in
            try write(text, to: &output)
            try finish(into: &output)
        }
    }
}
