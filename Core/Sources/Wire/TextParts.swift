// Texts taken apart byte by byte. With an accent on it, a slash or a blank is another character,
// but no other byte: by characters two machines could see two different things in one text.

extension String {
    /// The names between the slashes of a path. None is empty.
    public var namesInPath: [String] {
        utf8.split(separator: UInt8(ascii: "/")).map { String(Substring($0)) }
    }

    /// The text without the spaces and tabs around it, as a header's value (RFC 9110, section 5.5).
    public var trimmedOfBlanks: String {
        var bytes = Array(utf8)[...]
        while let first = bytes.first, first == 0x20 || first == 0x09 { bytes.removeFirst() }
        while let last = bytes.last, last == 0x20 || last == 0x09 { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}
