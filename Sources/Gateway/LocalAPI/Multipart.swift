// A streaming reader of multipart bodies (RFC 7578, RFC 2046 §5.1) as clients of Kubo's RPC send
// them: files and directories one after the other, each of any size.

import Glibc
import NIOCore

/// What is wrong with a multipart body.
struct MultipartError: Error, CustomStringConvertible {
    let description: String
}

/// Finds parts and their bytes in chunks of a multipart body. It does no I/O and keeps no more
/// than a chunk and a delimiter's length of content.
struct MultipartParser {
    /// The header fields of one part.
    struct Part: Equatable {
        /// `Content-Disposition`, empty when absent.
        var disposition = ""
        /// `Content-Type`, empty when absent.
        var contentType = ""
        /// `Abspath`, where the sender says its file lies; empty when absent.
        var absolutePath = ""

        /// The `filename` of the disposition, percent-decoded; nil when there is none.
        var fileName: String? {
            parameter("filename").map { $0.removingPercentEncodingBytes() }
        }

        /// One parameter of the disposition.
        func parameter(_ name: String) -> String? { headerParameter(name, in: disposition) }
    }

    /// What the bytes so far amount to.
    enum Event: Equatable {
        /// Nothing until more is fed.
        case needMore
        /// A part begins.
        case part(Part)
        /// Content of the part that began last.
        case data(ByteBuffer)
        /// The part is complete.
        case endOfPart
        /// The closing delimiter has been seen; what follows is ignored.
        case end
    }

    private enum State {
        case preamble
        case headers
        case content
        case afterDelimiter
        case done
    }

    /// The longest header block of a part, in bytes.
    static let maxHeaderBytes = 16 << 10
    /// The longest boundary (RFC 2046 §5.1.1).
    static let maxBoundaryBytes = 70

    private let delimiter: [UInt8]
    private var state = State.preamble
    private var buffer = ByteBuffer()

    /// A parser for a body with this `Content-Type`.
    init(contentType: String) throws(MultipartError) {
        guard contentType.utf8.starts(with: "multipart/".utf8),
            let boundary = headerParameter("boundary", in: contentType),
            !boundary.isEmpty, boundary.utf8.count <= Self.maxBoundaryBytes
        else {
            throw MultipartError(
                description: "the body must be multipart/form-data with a boundary")
        }
        delimiter = Array("\r\n--".utf8) + Array(boundary.utf8)
        // The first delimiter need not follow a line break: pretend that it does.
        buffer.writeBytes([0x0d, 0x0a])
    }

    /// Adds bytes of the body.
    mutating func feed(_ chunk: ByteBuffer) {
        var chunk = chunk
        if buffer.readableBytes == 0 {
            buffer = chunk
        } else {
            buffer.discardReadBytes()
            buffer.writeBuffer(&chunk)
        }
    }

    /// The next event; call until it says ``Event/needMore``.
    mutating func next() throws(MultipartError) -> Event {
        while true {
            switch state {
            case .preamble:
                guard let found = find(delimiter) else {
                    dropAllBut(delimiter.count - 1)
                    return .needMore
                }
                buffer.moveReaderIndex(forwardBy: found + delimiter.count)
                state = .afterDelimiter
            case .afterDelimiter:
                guard let end = find([0x0a]) else {
                    guard buffer.readableBytes <= 256 else {
                        throw MultipartError(description: "a delimiter line is too long")
                    }
                    if buffer.readableBytesView.starts(with: "--".utf8) {
                        state = .done
                        continue
                    }
                    return .needMore
                }
                if buffer.readableBytesView.starts(with: "--".utf8) {
                    state = .done
                    continue
                }
                buffer.moveReaderIndex(forwardBy: end + 1)
                state = .headers
            case .headers:
                guard let part = try readHeaders() else { return .needMore }
                state = .content
                return .part(part)
            case .content:
                return readContent()
            case .done:
                return .end
            }
        }
    }

    /// Whether the closing delimiter has been seen.
    var isComplete: Bool {
        if case .done = state { true } else { false }
    }

    private mutating func readContent() -> Event {
        if let found = find(delimiter) {
            if found > 0, let data = buffer.readSlice(length: found) { return .data(data) }
            buffer.moveReaderIndex(forwardBy: delimiter.count)
            state = .afterDelimiter
            return .endOfPart
        }
        // The tail may be the beginning of a delimiter.
        let safe = buffer.readableBytes - (delimiter.count - 1)
        guard safe > 0, let data = buffer.readSlice(length: safe) else { return .needMore }
        return .data(data)
    }

    private mutating func readHeaders() throws(MultipartError) -> Part? {
        var part = Part()
        let start = buffer.readerIndex
        while let end = find([0x0a]) {
            guard let line = buffer.readString(length: end + 1) else { break }
            let trimmed = line.utf8.last == 0x0a ? line.dropLast() : line[...]
            let text = trimmed.utf8.last == 0x0d ? String(trimmed.dropLast()) : String(trimmed)
            if text.isEmpty || text == "\r" || line == "\r\n" { return part }
            guard let colon = text.firstIndex(of: ":") else {
                throw MultipartError(description: "a part has a header line without a colon")
            }
            let value = String(text[text.index(after: colon)...].drop { $0 == " " || $0 == "\t" })
            switch text[..<colon].lowercased() {
            case "content-disposition": part.disposition = value
            case "content-type": part.contentType = value
            case "abspath", "abspath-encoded": part.absolutePath = value
            default: break
            }
        }
        let length = buffer.readerIndex - start + buffer.readableBytes
        buffer.moveReaderIndex(to: start)
        guard length <= Self.maxHeaderBytes else {
            throw MultipartError(
                description: "the headers of a part are over \(Self.maxHeaderBytes) bytes")
        }
        return nil
    }

    private mutating func dropAllBut(_ count: Int) {
        let surplus = buffer.readableBytes - count
        if surplus > 0 { buffer.moveReaderIndex(forwardBy: surplus) }
    }

    /// Where `needle` begins in what is buffered, looking only where its first byte stands.
    private func find(_ needle: [UInt8]) -> Int? {
        buffer.withUnsafeReadableBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            var start = 0
            while bytes.count - start >= needle.count {
                let length = bytes.count - start - needle.count + 1
                guard let found = memchr(base + start, Int32(needle[0]), length) else {
                    return nil
                }
                start = UnsafeRawPointer(found) - base
                if memcmp(found, needle, needle.count) == 0 { return start }
                start += 1
            }
            return nil
        }
    }
}

/// The value of `name=value` or `name="value"` in a header field.
func headerParameter(_ name: String, in field: String) -> String? {
    var rest = field.split(separator: ";", maxSplits: 1).dropFirst().first ?? ""
    while !rest.isEmpty {
        rest = rest.drop { $0 == " " || $0 == ";" || $0 == "\t" }
        guard let equals = rest.firstIndex(of: "=") else { return nil }
        let key = rest[..<equals].lowercased()
        rest = rest[rest.index(after: equals)...]
        var value = ""
        if rest.first == "\"" {
            rest = rest.dropFirst()
            while let character = rest.popFirst(), character != "\"" {
                value.append(character == "\\" ? rest.popFirst() ?? "\\" : character)
            }
        } else {
            value = String(rest.prefix { $0 != ";" && $0 != " " })
            rest = rest.dropFirst(value.count)
        }
        if key == name { return value }
    }
    return nil
}

extension String {
    /// The text with `%XX` replaced by the bytes they stand for; other text stays as it is.
    func removingPercentEncodingBytes() -> String {
        guard utf8.contains(0x25) else { return self }
        let source = Array(utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(source.count)
        var index = 0
        while index < source.count {
            if source[index] == 0x25, index + 2 < source.count,
                let high = Character(Unicode.Scalar(source[index + 1])).hexDigitValue,
                let low = Character(Unicode.Scalar(source[index + 2])).hexDigitValue
            {
                bytes.append(UInt8(high << 4 | low))
                index += 3
            } else {
                bytes.append(source[index])
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
