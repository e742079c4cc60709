// Contracts in Embedded Swift: the request, other contracts and content, the response. A method is
// a function that the compiler exports:
//
//     @c(greet)
//     public func greet() { Response.write("Hello!\n") }

import CWeft

/// Something that can be read: the request's body, another contract's answer, or content.
public struct Source {
    let number: weft_source

    /// The status of an answer, 200 to 599; below 100 there is none (`isAnswer`). Waits for it, as
    /// everything else that is asked about a source.
    public var status: Int { Int(weft_status(number)) }

    /// Whether the call came to its end. One that did not (it ran out of gas or stack, or trapped)
    /// has an empty body.
    public var isAnswer: Bool { weft_status(number) >= 100 }

    /// The bytes of the body.
    public var size: UInt64 { UInt64(weft_size(number)) }

    /// The value of a header, whose name is given in lower case.
    public func header(_ name: String) -> String? {
        Self.field(number, WEFT_HEADER, name)
    }

    /// Up to `count` bytes of the body from `offset` on.
    public func read(_ count: Int, at offset: UInt64 = 0) -> [UInt8] {
        let size = size
        guard offset < size, count > 0 else { return [] }
        let length = Int(min(UInt64(count), size - offset))
        return [UInt8](unsafeUninitializedCapacity: length) { buffer, done in
            done = Int(weft_read(number, Int64(offset), buffer.baseAddress, length))
        }
    }

    /// The whole body.
    public var bytes: [UInt8] { read(Int(size)) }

    /// The whole body as text; what is not UTF-8 in it is replaced by U+FFFD.
    public var text: String { String(decoding: bytes, as: UTF8.self) }

    static func field(_ source: weft_source, _ kind: Int, _ name: String = "") -> String? {
        var name = name
        return name.withUTF8 { (name) -> String? in
            let start = characters(name)
            let kind = Int32(kind)
            let count = weft_field(source, kind, start, name.count, nil, 0)
            guard count >= 0 else { return nil }
            let bytes = [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, done in
                let out = UnsafeMutableRawPointer(buffer.baseAddress)?
                    .assumingMemoryBound(to: CChar.self)
                _ = weft_field(source, kind, start, name.count, out, Int(count))
                done = Int(count)
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }
}

/// The request that this call answers.
public enum Request {
    /// `GET`, `POST`, …
    public static var method: String { Source.field(WEFT_REQUEST, WEFT_METHOD_NAME) ?? "" }

    /// What follows the contract's CID in the URL, percent-decoded: `/greet/everyone`.
    public static var path: String { Source.field(WEFT_REQUEST, WEFT_PATH) ?? "" }

    /// What follows `?` in the URL, as it stands there.
    public static var query: String { Source.field(WEFT_REQUEST, WEFT_QUERY) ?? "" }

    /// The body.
    public static var body: Source { Source(number: WEFT_REQUEST) }

    /// The value of a header, whose name is given in lower case.
    public static func header(_ name: String) -> String? { body.header(name) }

    /// The value of a parameter of the query, decoded; the first of that name.
    public static func parameter(_ name: String) -> String? {
        let name = Array(name.utf8)
        for item in Array(query.utf8).split(separator: UInt8(ascii: "&")) {
            let end = item.firstIndex(of: UInt8(ascii: "=")) ?? item.endIndex
            guard PercentCoding.decode(item[..<end]).elementsEqual(name) else { continue }
            let value = end == item.endIndex ? [] : PercentCoding.decode(item[(end + 1)...])
            return String(decoding: value, as: UTF8.self)
        }
        return nil
    }

    /// The value of a parameter of the query, as a number; nil if there is none, or it is none.
    public static func number(_ name: String) -> Int? {
        parameter(name).flatMap { Int($0) }
    }
}

/// The response of this call.
public enum Response {
    /// Sets the status; it is 200 if it is never set.
    public static func status(_ status: Int) { weft_respond(Int32(status)) }

    /// Sets a header. The name is in lower case.
    public static func header(_ name: String, _ value: String) {
        var name = name
        var value = value
        name.withUTF8 { name in
            value.withUTF8 { value in
                weft_header(
                    characters(name), name.count, characters(value), value.count)
            }
        }
    }

    /// Appends text to the body.
    public static func write(_ text: String) {
        var text = text
        text.withUTF8 { weft_write($0.baseAddress, $0.count) }
    }

    /// Appends bytes to the body.
    public static func write(_ bytes: [UInt8]) {
        bytes.withUnsafeBufferPointer { weft_write($0.baseAddress, $0.count) }
    }

    /// Appends a range of a source's body, without bringing it into memory; all of it if no range
    /// is given.
    public static func pass(_ source: Source, _ range: Range<UInt64>? = nil) {
        let range = range ?? 0..<source.size
        weft_pass(source.number, Int64(range.lowerBound), Int64(range.count))
    }

    /// Answers with a status and a line of text.
    public static func fail(_ code: Int, _ reason: String) {
        status(code)
        header("content-type", "text/plain; charset=utf-8")
        write(reason + "\n")
    }
}

/// Starts to call a contract (`weft://<cid>/<method>…`, or `/<method>…` for this one itself), or to
/// get the content of a CID (`ipfs://<cid>`). Calls that are started together run side by side:
/// start them all before the first is asked for its status or body.
///
/// - Parameters:
///   - headers: of these, `content-type`, `accept`, `weft-dir` and names that begin with
///     `weft-arg-` reach the contract.
///   - gas: the most that the call may use; half of what is left, if it is nil.
public func fetch(
    _ url: String, method: String = "GET", headers: [(String, String)] = [], body: [UInt8] = [],
    gas: UInt64? = nil
) -> Source {
    var lines = headers.reduce(into: "") { $0 += $1.0 + ": " + $1.1 + "\n" }
    if let gas { lines += "weft-gas: \(gas)\n" }
    var url = url
    var method = method
    return url.withUTF8 { url in
        method.withUTF8 { method in
            lines.withUTF8 { lines in
                body.withUnsafeBufferPointer { body in
                    Source(
                        number: weft_fetch(
                            characters(url), url.count, characters(method),
                            method.count, characters(lines), lines.count,
                            body.baseAddress, body.count))
                }
            }
        }
    }
}

/// Bytes that follow from what is called with what: the same in every run.
public func seed(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, done in
        weft_seed(buffer.baseAddress, count)
        done = count
    }
}

private func characters(_ bytes: UnsafeBufferPointer<UInt8>) -> UnsafePointer<CChar>? {
    UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self)
}

/// The percent-encoding of queries, in which `+` is a space.
enum PercentCoding {
    static func decode(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            index += 1
            if byte == UInt8(ascii: "%"), index + 1 < text.endIndex,
                let high = digit(text[index]), let low = digit(text[index + 1])
            {
                out.append(high << 4 | low)
                index += 2
            } else {
                out.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return out
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
