// The Noise handshake XX with X25519, ChaCha20-Poly1305 and SHA2-256 (noiseprotocol.org, sections 5
// and 7): three messages after which both sides know each other's static keys.

import Cryptography
import Wire

/// One side of a handshake. Messages are written and read in turn: initiator, responder, initiator.
struct NoiseXX {
    enum Role {
        case initiator, responder
    }

    let role: Role
    private let staticKey: [UInt8]
    private let ephemeralKey: [UInt8]
    /// The hash of all that has passed.
    private(set) var hash: [UInt8]
    private var chainingKey: [UInt8]
    /// The cipher of the next encrypted part; nil before the first agreement.
    private var cipher: ChaChaPoly?
    private var remoteEphemeral: [UInt8] = []
    /// The other side's static key, once its message has been read.
    private(set) var remoteStatic: [UInt8] = []
    private var messageCount = 0

    /// A handshake with these private keys, 32 bytes each. The ephemeral one is for this handshake
    /// alone. Both sides must have the same prologue.
    init(role: Role, staticKey: [UInt8], ephemeralKey: [UInt8], prologue: [UInt8]) {
        self.role = role
        self.staticKey = staticKey
        self.ephemeralKey = ephemeralKey
        // The name has exactly the length of a hash, so it stands for itself.
        hash = Array("Noise_XX_25519_ChaChaPoly_SHA256".utf8)
        chainingKey = hash
        mixHash(prologue)
    }

    /// Whether all three messages have passed.
    var isFinished: Bool { messageCount == 3 }

    /// Whether the next message is ours to write.
    var isOurTurn: Bool {
        !isFinished && messageCount.isMultiple(of: 2) == (role == .initiator)
    }

    /// Writes the next message with `payload` in it, which the first message does not encrypt.
    mutating func write(_ payload: [UInt8]) throws(NoiseFault) -> [UInt8] {
        precondition(isOurTurn, "it is the other side's turn")
        do throws(CipherError) {
            var message: [UInt8] = []
            if messageCount < 2 {
                message = try X25519.publicKey(of: ephemeralKey)
                mixHash(message)
            }
            if messageCount == 1 { try mixSecret(ephemeralKey, remoteEphemeral) }
            if messageCount > 0 {
                message += try seal(try X25519.publicKey(of: staticKey))
                try mixSecret(staticKey, remoteEphemeral)
            }
            message += try seal(payload)
            messageCount += 1
            return message
        } catch {
            throw NoiseFault(error)
        }
    }

    /// Reads the other side's next message and returns its payload.
    mutating func read(_ message: RawSpan) throws(NoiseFault) -> [UInt8] {
        precondition(!isFinished && !isOurTurn, "it is our turn")
        var reader = ByteReader(message)
        let ephemeral: [UInt8]
        let sealedKey: [UInt8]
        let payload: [UInt8]
        do throws(DecodeError) {
            ephemeral = try reader.readBytes(messageCount < 2 ? X25519.keyLength : 0)
            sealedKey = try reader.readBytes(
                messageCount > 0 ? X25519.keyLength + ChaChaPoly.tagLength : 0)
            payload = try reader.readBytes(reader.remaining)
        } catch {
            throw .truncated
        }
        do throws(CipherError) {
            if messageCount < 2 {
                remoteEphemeral = ephemeral
                mixHash(ephemeral)
            }
            if messageCount == 1 { try mixSecret(ephemeralKey, remoteEphemeral) }
            if messageCount > 0 {
                remoteStatic = try open(sealedKey)
                try mixSecret(ephemeralKey, remoteStatic)
            }
            let text = try open(payload)
            messageCount += 1
            return text
        } catch {
            throw NoiseFault(error)
        }
    }

    /// The ciphers of the two directions, after the last message.
    func split() throws(NoiseFault) -> (sending: ChaChaPoly, receiving: ChaChaPoly) {
        precondition(isFinished, "the handshake is not over")
        let keys = derive(from: [])
        do throws(CipherError) {
            let first = try ChaChaPoly(key: keys.first)
            let second = try ChaChaPoly(key: keys.second)
            return role == .initiator ? (first, second) : (second, first)
        } catch {
            throw NoiseFault(error)
        }
    }

    private mutating func mixHash(_ bytes: [UInt8]) {
        var hasher = SHA256()
        hasher.update(hash.rawSpan)
        hasher.update(bytes.rawSpan)
        hash = hasher.finalize()
    }

    private mutating func mixSecret(
        _ privateKey: [UInt8], _ publicKey: [UInt8]
    ) throws(CipherError) {
        let keys = derive(
            from: try X25519.secret(privateKey: privateKey, publicKey: publicKey))
        chainingKey = keys.first
        cipher = try ChaChaPoly(key: keys.second)
    }

    private func derive(from input: [UInt8]) -> (first: [UInt8], second: [UInt8]) {
        let output = HKDFSHA256.key(
            from: input.rawSpan, salt: chainingKey.rawSpan, info: RawSpan(), length: 64)
        return (Array(output[..<32]), Array(output[32...]))
    }

    private mutating func seal(_ text: [UInt8]) throws(CipherError) -> [UInt8] {
        let sealed =
            try cipher?.seal(text.rawSpan, authenticating: hash.rawSpan) ?? text
        mixHash(sealed)
        return sealed
    }

    private mutating func open(_ sealed: [UInt8]) throws(CipherError) -> [UInt8] {
        let text =
            try cipher?.open(sealed.rawSpan, authenticating: hash.rawSpan) ?? sealed
        mixHash(sealed)
        return text
    }
}
