// Network addresses that spell out their protocols (github.com/multiformats/multiaddr), in text
// such as `/ip4/127.0.0.1/tcp/4001` and in binary.

public import Wire

/// A network address as a list of protocols with their values.
public struct Multiaddr: Hashable, Sendable {
    /// The longest address that is read, in bytes of the binary form.
    public static let maxLength = 4_096
    /// The longest text that is read, in bytes. No protocol takes more of it for a byte of the
    /// binary form, so that every address that was read can be written and read again.
    static let maxTextLength = 8 * maxLength

    /// One protocol of an address with its value.
    public struct Component: Hashable, Sendable {
        /// The protocol.
        public let `protocol`: MultiaddrProtocol
        /// The value in binary, without its length; empty for a protocol that has none.
        public let value: [UInt8]

        /// A protocol with its value in binary; throws if the value is not one of this protocol.
        public init(_ protocol: MultiaddrProtocol, _ value: [UInt8] = []) throws(DecodeError) {
            try AddressValue.check(value, `protocol`.form)
            self.protocol = `protocol`
            self.value = value
        }

        /// The value as text, such as `127.0.0.1` or `4001`; empty for a protocol that has none.
        public var text: String { AddressValue.text(of: value, `protocol`.form) }
    }

    /// The protocols from the outermost to the innermost; there is at least one.
    public let components: [Component]

    /// An address of these protocols; throws if there is none, or if a protocol follows a path.
    public init(_ components: [Component]) throws(DecodeError) {
        guard !components.isEmpty else {
            throw DecodeError(.malformed, "an address has at least one protocol")
        }
        guard components.dropLast().allSatisfy({ $0.protocol != .unix }) else {
            throw DecodeError(.malformed, "nothing can follow a file path in an address")
        }
        self.components = components
    }

    /// Reads the text form. Slashes at the end are passed over, as other peers do.
    public init(text: String) throws(DecodeError) {
        var rest = Array(text.utf8)[...]
        guard rest.count <= Self.maxTextLength else { throw Self.tooLong }
        while rest.last == UInt8(ascii: "/") { rest.removeLast() }
        guard text.utf8.first == UInt8(ascii: "/"), !rest.isEmpty else {
            throw DecodeError(.malformed, "an address starts with a slash and a protocol")
        }
        var components: [Component] = []
        while !rest.isEmpty {
            let name = Self.nextSegment(&rest)
            guard let proto = MultiaddrProtocol(utf8: name) else {
                throw DecodeError(
                    .unsupported, "the protocol is not known here", at: name.startIndex)
            }
            if proto.form.length == 0 {
                components.append(try Component(proto))
                continue
            }
            guard !rest.isEmpty else {
                throw DecodeError(
                    .truncated, "the protocol lacks its value", at: name.endIndex)
            }
            // A path keeps its slashes and takes all that is left.
            let isPath = proto == .unix
            let value = isPath ? rest : Self.nextSegment(&rest)
            if isPath { rest = [] }
            components.append(
                try Component(proto, AddressValue.parse(value, proto.form)))
        }
        try self.init(components)
        guard self.bytes.count <= Self.maxLength else { throw Self.tooLong }
    }

    private static let tooLong = DecodeError(.overLimit, "the address is too long")

    /// Decodes the binary form, which fills `bytes` exactly.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= Self.maxLength else { throw Self.tooLong }
        var reader = ByteReader(bytes)
        var components: [Component] = []
        while !reader.isAtEnd {
            guard let proto = MultiaddrProtocol(code: try reader.readVarint()) else {
                throw reader.error(.unsupported, "the protocol is not known here")
            }
            var length = 0
            if let fixed = proto.form.length {
                length = fixed
            } else {
                length = try reader.readLength(limit: Self.maxLength)
            }
            components.append(try Component(proto, try reader.readBytes(length)))
        }
        try self.init(components)
    }

    /// The binary form.
    public var bytes: [UInt8] {
        var out: [UInt8] = []
        for component in components {
            out.appendVarint(component.protocol.code)
            if component.protocol.form.length == nil {
                out.appendVarint(UInt64(component.value.count))
            }
            out.append(contentsOf: component.value)
        }
        return out
    }

    /// The first value of a protocol; nil if the address does not have it.
    public func first(_ protocol: MultiaddrProtocol) -> Component? {
        components.first { $0.protocol == `protocol` }
    }

    /// The peer that the address leads to, which is the last one it names.
    public var peer: PeerID? {
        guard let last = components.last(where: { $0.protocol == .p2p }) else { return nil }
        // The value was checked when the component was made.
        return try? PeerID(decoding: last.value.rawSpan)
    }

    /// Takes the slash and the text up to the next one.
    private static func nextSegment(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let start = rest.startIndex + 1
        let end = rest[start...].firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
        defer { rest = rest[end...] }
        return rest[start..<end]
    }
}

extension Multiaddr: CustomStringConvertible {
    /// The text form.
    public var description: String {
        var text = ""
        for component in components {
            text += "/\(component.protocol.name)"
            switch component.protocol.form {
            case .none: break
            case .path: text += component.text
            default: text += "/\(component.text)"
            }
        }
        return text
    }
}
