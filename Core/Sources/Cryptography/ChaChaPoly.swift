// ChaCha20-Poly1305 (RFC 8439) with nonces that count, as Noise uses it. It comes from OpenSSL,
// because swift-crypto's interface copies every message three times and OpenSSL encrypts half as
// much again per second (3.0 against 2.0 GB/s, measured).

import Wire

#if HostCrypto
    import CLibcrypto
#elseif BrowserCrypto
    import CMonocypher
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
    #elseif BrowserCrypto
        private let key: [UInt8]
        /// What is written, or was last: its number, its first authenticator's state, its length.
        private var message = (nonce: [UInt8](), tag: crypto_poly1305_ctx(), data: 0, text: 0)

        /// A channel with this key, at message 0.
        public init(key: [UInt8]) throws(CipherError) {
            guard key.count == Self.keyLength else { throw .invalidKey }
            self.key = key
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
#elseif BrowserCrypto
    extension ChaChaPoly {
        /// Starts the next message to send. It is written with ``write(_:to:)`` and ended with
        /// ``finish(into:)``.
        public func start(authenticating data: RawSpan) throws(CipherError) {
            // The last number is reserved (Noise, section 5.1); nobody lives to see it.
            guard nonce < .max else { throw .invalidKey }
            var bytes: [UInt8] = [0, 0, 0, 0]
            bytes.appendLittleEndian(nonce)
            nonce += 1
            let zeros = [UInt8](repeating: 0, count: Self.keyLength)
            var tagKey = zeros
            _ = unsafe crypto_chacha20_ietf(&tagKey, zeros, zeros.count, key, bytes, 0)
            message = (bytes, crypto_poly1305_ctx(), data.byteCount, 0)
            unsafe crypto_poly1305_init(&message.tag, tagKey)
            authenticate(data)
        }

        /// Takes in bytes and fills them up with zeros to whole blocks of the authenticator.
        private func authenticate(_ bytes: RawSpan) {
            unsafe bytes.withUnsafeBytes {
                unsafe crypto_poly1305_update(
                    &message.tag, $0.baseAddress?.assumingMemoryBound(to: UInt8.self), $0.count)
            }
            let missing = -bytes.byteCount & 15
            guard missing > 0 else { return }
            unsafe crypto_poly1305_update(
                &message.tag, [UInt8](repeating: 0, count: missing), missing)
        }

        private func tag(textCount: Int) -> [UInt8] {
            var lengths: [UInt8] = []
            lengths.appendLittleEndian(UInt64(message.data))
            lengths.appendLittleEndian(UInt64(textCount))
            var tag = [UInt8](repeating: 0, count: Self.tagLength)
            unsafe crypto_poly1305_update(&message.tag, lengths, lengths.count)
            unsafe crypto_poly1305_final(&message.tag, &tag)
            return tag
        }

        /// Writes the next piece of the message that was started, which is encrypted at its end:
        /// the cipher takes whole blocks of 64 bytes.
        @_lifetime(output: copy output)
        public func write(
            _ piece: RawSpan, to output: inout OutputRawSpan
        ) throws(CipherError) {
            output.append(piece)
            message.text += piece.byteCount
        }

        /// Encrypts what was written, and writes the tag that ends a message, ``tagLength`` bytes.
        @_lifetime(output: copy output)
        public func finish(into output: inout OutputRawSpan) throws(CipherError) {
            let length = message.text
            unsafe output.withUnsafeMutableBytes { target, count in
                precondition(length <= count, "the message was written elsewhere")
                let text = unsafe UnsafeMutableRawBufferPointer(
                    rebasing: target[(count - length)..<count])
                unsafe encrypt(text.baseAddress, to: text.baseAddress, count: length)
                unsafe authenticate(text.bytes)
            }
            let tag = tag(textCount: length)
            output.append(tag.rawSpan)
        }

        /// Encrypts or decrypts: both are the same.
        private func encrypt(
            _ text: UnsafeRawPointer?, to target: UnsafeMutableRawPointer?, count: Int
        ) {
            _ = unsafe crypto_chacha20_ietf(
                target?.assumingMemoryBound(to: UInt8.self),
                text?.assumingMemoryBound(to: UInt8.self), count, key, message.nonce, 1)
        }

        /// Decrypts the next received message, text and tag, into a new array. After an error the
        /// channel is of no more use.
        public func open(
            _ sealed: RawSpan, authenticating data: RawSpan
        ) throws(CipherError) -> [UInt8] {
            let length = sealed.byteCount - Self.tagLength
            guard length >= 0 else { throw .forged }
            try start(authenticating: data)
            authenticate(sealed.extracting(..<length))
            let found = [UInt8](sealed.extracting(length...))
            guard unsafe crypto_verify16(found, tag(textCount: length)) == 0 else { throw .forged }
            return unsafe [UInt8](unsafeUninitializedCapacity: length) { target, count in
                unsafe sealed.withUnsafeBytes {
                    unsafe encrypt($0.baseAddress, to: target.baseAddress, count: length)
                }
                count = length
            }
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
