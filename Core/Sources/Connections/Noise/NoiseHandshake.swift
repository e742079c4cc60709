// The handshake of libp2p over Noise (github.com/libp2p/specs, noise): frames of a length and a
// message, identities in the second and third message, and with them the choice of the muxer.

import Cryptography
import Multiformats
import Wire

/// One side of a handshake on a byte stream.
struct NoiseHandshake {
    /// What a finished handshake has settled.
    struct Outcome {
        let channel: NoiseChannel
        let peer: PeerID
        /// The muxer that both agreed on; nil if the other side did not name any, and it has yet
        /// to be negotiated.
        let muxer: ProtocolName?
    }

    private var noise: NoiseXX
    private let identity: NoiseIdentity
    private let muxers: [ProtocolName]
    private var frames = NoiseFrames()
    /// Frames to send.
    private(set) var output: [UInt8] = []
    private var remote: (peer: PeerID, muxers: [ProtocolName])?

    /// A handshake with a fresh ephemeral private key of 32 bytes, offering these muxers, in which
    /// both sides have to know the same `prologue`. An initiator's first message is in ``output``
    /// at once.
    init(
        role: NoiseXX.Role, identity: NoiseIdentity, ephemeralKey: [UInt8],
        muxers: [ProtocolName], prologue: [UInt8] = []
    ) throws(NoiseFault) {
        noise = NoiseXX(
            role: role, staticKey: identity.staticKey, ephemeralKey: ephemeralKey,
            prologue: prologue)
        self.identity = identity
        self.muxers = muxers
        if noise.isOurTurn { append(try noise.write([])) }
    }

    /// Removes and returns the frames to send.
    mutating func takeOutput() -> [UInt8] {
        let taken = output
        output = []
        return taken
    }

    /// Takes in what has arrived, up to the end of the handshake's last message. Returns the
    /// outcome when the handshake is over; its output may still have to be sent.
    mutating func receive(_ input: inout ByteReader) throws(NoiseFault) -> Outcome? {
        while !noise.isFinished {
            let whole = try frames.next(&input) { (message) throws(NoiseFault) in
                [UInt8](message)
            }
            guard let whole else { return nil }
            let text = try noise.read(whole.rawSpan)
            // The first message comes before any static key, and its payload means nothing.
            if !noise.remoteStatic.isEmpty { try readPayload(text) }
            if noise.isOurTurn { append(try noise.write(identity.payload(offering: muxers))) }
        }
        return try finish()
    }

    private mutating func readPayload(_ text: [UInt8]) throws(NoiseFault) {
        let payload: NoisePayload
        do throws(DecodeError) {
            payload = try NoisePayload(decoding: text)
        } catch {
            throw .malformedPayload
        }
        let peer = try payload.verifiedPeer(staticKey: noise.remoteStatic)
        remote = (peer, payload.muxers)
    }

    private func finish() throws(NoiseFault) -> Outcome {
        guard let remote else { throw .malformedPayload }
        var chosen: ProtocolName?
        if !muxers.isEmpty && !remote.muxers.isEmpty {
            let (first, second) =
                noise.role == .initiator ? (muxers, remote.muxers) : (remote.muxers, muxers)
            chosen = first.first { second.contains($0) }
            guard chosen != nil else { throw .noCommonMuxer }
        }
        let ciphers = try noise.split()
        return Outcome(
            channel: NoiseChannel(sending: ciphers.sending, receiving: ciphers.receiving),
            peer: remote.peer, muxer: chosen)
    }

    private mutating func append(_ message: [UInt8]) {
        output.appendBigEndian(UInt16(message.count))
        output += message
    }
}
