// What two peers tell each other to make a connection of data channels (SDP, RFC 8866; for ICE
// RFC 8839, DTLS RFC 8842, SCTP RFC 8841), as far as one that answers a browser has to know it.

public import Wire

/// What the peer offers that wants the connection.
public struct SessionOffer: Hashable, Sendable {
    /// The longest that is read, in bytes.
    static let maxLength = 16 << 10
    /// How many ways to the peer are taken out of it.
    public static let maxCandidates = 32
    /// The longest name and password for ICE, in bytes: they are sent to where a stranger says.
    static let maxName = 32
    static let maxPassword = 64
    /// The longest name of its one part, in bytes.
    static let maxMid = 16

    /// The name of the peer's side of ICE.
    public private(set) var name: [UInt8] = []
    /// With what its checks, and the answers to ours, are signed.
    public private(set) var password: [UInt8] = []
    /// The SHA2-256 of its certificate.
    public private(set) var fingerprint: [UInt8] = []
    /// What its one part is called.
    public private(set) var mid = ""
    /// The ways to it that are known already.
    public private(set) var candidates: [ICECandidate] = []

    /// Reads a description of data channels and nothing else.
    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        guard bytes.count <= Self.maxLength else {
            throw DecodeError(.overLimit, "SDP: the offer is too long")
        }
        var mediaCount = 0
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            if line.starts(with: "m=".utf8) {
                mediaCount += 1
                let words = line.split(separator: UInt8(ascii: " "))
                guard words.count == 4, words[0].elementsEqual("m=application".utf8),
                    words[2].elementsEqual("UDP/DTLS/SCTP".utf8),
                    words[3].elementsEqual("webrtc-datachannel".utf8)
                else {
                    throw DecodeError(
                        .unsupported, "SDP: the offer is of something else than data channels")
                }
            } else if line.starts(with: "a=".utf8) {
                try take(line.dropFirst(2))
            }
        }
        guard mediaCount == 1 else {
            throw DecodeError(.malformed, "SDP: the offer has not one part")
        }
        guard ICECredentials.isName(name[...]), ICECredentials.isName(password[...]),
            password.count >= ICECredentials.leastPassword, name.count <= Self.maxName,
            password.count <= Self.maxPassword
        else { throw DecodeError(.malformed, "SDP: the offer has no name and password for ICE") }
        guard fingerprint.count == 32 else {
            throw DecodeError(.unsupported, "SDP: the offer has no SHA2-256 of a certificate")
        }
    }

    private mutating func take(_ attribute: ArraySlice<UInt8>) throws(DecodeError) {
        if let value = Self.value("ice-ufrag:", attribute) {
            name = Array(value)
        } else if let value = Self.value("ice-pwd:", attribute) {
            password = Array(value)
        } else if let value = Self.value("fingerprint:", attribute) {
            if let digest = Self.digest(value) { fingerprint = digest }
        } else if let value = Self.value("setup:", attribute) {
            // This side waits for the handshake of DTLS.
            guard value.elementsEqual("actpass".utf8) || value.elementsEqual("active".utf8) else {
                throw DecodeError(.unsupported, "SDP: the offer does not begin the handshake")
            }
        } else if let value = Self.value("sctp-port:", attribute) {
            guard value.elementsEqual("5000".utf8) else {
                throw DecodeError(.unsupported, "SDP: the offer has another port than 5000")
            }
        } else if let value = Self.value("mid:", attribute) {
            guard value.count <= Self.maxMid, value.allSatisfy(Self.isToken) else {
                throw DecodeError(.malformed, "SDP: the offer has a part without a proper name")
            }
            mid = String(decoding: value, as: UTF8.self)
        } else if attribute.starts(with: "candidate:".utf8) {
            guard candidates.count < Self.maxCandidates else {
                throw DecodeError(.overLimit, "SDP: the offer has too many candidates")
            }
            if let candidate = ICECandidate(text: attribute) { candidates.append(candidate) }
        }
    }

    /// What follows the attribute's name; nil if it has another.
    private static func value(
        _ name: String, _ attribute: ArraySlice<UInt8>
    ) -> ArraySlice<UInt8>? {
        attribute.starts(with: name.utf8) ? attribute.dropFirst(name.utf8.count) : nil
    }

    /// What names may be made of here: more are allowed, which nobody uses.
    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// The digest of `sha-256 AB:CD:…`; nil for another kind.
    private static func digest(_ value: ArraySlice<UInt8>) -> [UInt8]? {
        let words = value.split(separator: UInt8(ascii: " "))
        guard words.count == 2, words[0].map({ $0 | 0x20 }).elementsEqual("sha-256".utf8) else {
            return nil
        }
        var digest: [UInt8] = []
        for pair in words[1].split(separator: UInt8(ascii: ":"), maxSplits: 32) {
            guard pair.count == 2, let high = pair[pair.startIndex].hexDigit,
                let low = pair[pair.startIndex + 1].hexDigit
            else { return nil }
            digest.append(high << 4 | low)
        }
        return digest.count == 32 ? digest : nil
    }
}

/// What this side answers: that it waits for the handshake of DTLS, and where.
public struct SessionAnswer: Sendable {
    /// The name of this side of ICE.
    public var name: [UInt8]
    /// With what this side signs, and the checks of the other are signed.
    public var password: [UInt8]
    /// The SHA2-256 of this side's certificate.
    public var fingerprint: [UInt8]
    /// The ways to this side that are known already.
    public var candidates: [ICECandidate]

    /// An answer with these parts.
    public init(
        name: [UInt8], password: [UInt8], fingerprint: [UInt8], candidates: [ICECandidate]
    ) {
        self.name = name
        self.password = password
        self.fingerprint = fingerprint
        self.candidates = candidates
    }

    /// The description, for the one part of an offer.
    public func encoded(to offer: SessionOffer) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        var digest: [UInt8] = []
        for byte in fingerprint {
            if !digest.isEmpty { digest.append(UInt8(ascii: ":")) }
            digest += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
        var lines = [
            "v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE " + offer.mid,
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0",
            "a=mid:" + offer.mid, "a=ice-options:trickle",
            "a=ice-ufrag:" + String(decoding: name, as: UTF8.self),
            "a=ice-pwd:" + String(decoding: password, as: UTF8.self),
            "a=fingerprint:sha-256 " + String(decoding: digest, as: UTF8.self), "a=setup:passive",
            "a=sctp-port:5000", "a=max-message-size:16384",
        ]
        lines += candidates.map { "a=" + $0.text }
        var bytes: [UInt8] = []
        for line in lines { bytes += Array((line + "\r\n").utf8) }
        return bytes
    }
}
