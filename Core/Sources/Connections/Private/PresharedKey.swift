// Private networks (github.com/libp2p/specs, pnet): a key that all members share encrypts
// everything beneath the usual security, so that others cannot even say hello.

public import Wire

/// The key of a private network, 32 bytes. Its text form does not show it.
public struct PresharedKey: Sendable {
    let bytes: [UInt8]

    /// The longest key file that is read, in bytes.
    public static let maxFileLength = 1024

    /// A key of 32 bytes.
    public init(_ bytes: [UInt8]) throws(DecodeError) {
        guard bytes.count == XSalsa20.keyLength else {
            throw DecodeError(.malformed, "the key of a private network has 32 bytes")
        }
        self.bytes = bytes
    }

    /// Reads a key file: the line `/key/swarm/psk/1.0.0/`, then `/base16/` and the key in
    /// hexadecimal, or `/bin/` and its 32 bytes.
    public init(file: RawSpan) throws(DecodeError) {
        guard file.byteCount <= Self.maxFileLength else {
            throw DecodeError(.overLimit, "the key file is too long")
        }
        var lines = [UInt8](file).split(separator: 10, maxSplits: 2)
        guard lines.count == 3, Self.trimmed(lines[0]).elementsEqual("/key/swarm/psk/1.0.0/".utf8)
        else { throw DecodeError(.malformed, "not the key file of a private network") }
        let coding = Self.trimmed(lines[1])
        if coding.elementsEqual("/bin/".utf8) {
            try self.init(Array(lines[2].prefix(XSalsa20.keyLength)))
            return
        }
        guard coding.elementsEqual("/base16/".utf8) else {
            throw DecodeError(.unsupported, "the key file's coding is neither base16 nor bin")
        }
        lines[2] = Self.trimmed(lines[2])
        var key: [UInt8] = []
        for index in stride(from: lines[2].startIndex, to: lines[2].endIndex - 1, by: 2) {
            guard let high = lines[2][index].hexDigit, let low = lines[2][index + 1].hexDigit
            else { throw DecodeError(.malformed, "the key file's key is not hexadecimal") }
            key.append(high << 4 | low)
        }
        try self.init(key)
    }

    /// The text of a key file, in hexadecimal, as ``init(file:)`` reads it.
    public var file: [UInt8] {
        var out = Array("/key/swarm/psk/1.0.0/\n/base16/\n".utf8)
        let digits = Array("0123456789abcdef".utf8)
        for byte in bytes {
            out.append(digits[Int(byte >> 4)])
            out.append(digits[Int(byte & 15)])
        }
        out.append(10)
        return out
    }

    private static func trimmed(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var line = line
        while let last = line.last, last <= 32 { line.removeLast() }
        return line
    }
}

extension PresharedKey: CustomStringConvertible {
    public var description: String { "key of a private network" }
}

/// Both directions of a connection within a private network.
struct PrivateChannel: Sendable {
    private let key: PresharedKey
    private var sending: XSalsa20
    /// Nil until the other side's nonce has arrived.
    private var receiving: XSalsa20?
    private var remoteNonce: [UInt8] = []

    /// A channel whose own direction uses this nonce, 24 random bytes, which are sent in clear
    /// before everything else.
    init(_ key: PresharedKey, nonce: [UInt8]) {
        self.key = key
        sending = XSalsa20(key: key.bytes, nonce: nonce)
    }

    /// Encrypts what is about to be sent, in place.
    mutating func encrypt(_ bytes: inout [UInt8]) {
        sending.apply(to: &bytes)
    }

    /// Decrypts what has arrived; empty as long as the other side's nonce is not complete.
    mutating func decrypt(_ bytes: RawSpan) -> [UInt8] {
        var input = ByteReader(bytes)
        if receiving == nil {
            remoteNonce.append(
                input.readSpan(upTo: XSalsa20.nonceLength - remoteNonce.count))
            guard remoteNonce.count == XSalsa20.nonceLength else { return [] }
            receiving = XSalsa20(key: key.bytes, nonce: remoteNonce)
        }
        var text = [UInt8](input.readSpan(upTo: input.remaining))
        receiving?.apply(to: &text)
        return text
    }
}
