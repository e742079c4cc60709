// What a program for WASI wrote becomes a response (RFC 3875, section 6, as far as contracts have
// it): header lines first, if the output begins with one of the two that announce them.

import NIOCore

extension Activation {
    /// Turns what a program wrote and its exit code into the response.
    func finishCGI(code: UInt32) throws(HostExit) {
        guard code == 0 else {
            response.status = 500
            try setHeader("weft-exit", "\(code)")
            return
        }
        guard let head = CGIHead(response.body) else { return }
        response.body.moveReaderIndex(forwardBy: head.byteCount)
        response.status = head.status
        for header in head.headers { try setHeader(header.name, header.value) }
    }
}

/// The header lines at the start of an output.
struct CGIHead {
    /// The longest head.
    static let maxBytes = 16 << 10

    private(set) var status: Int32 = 200
    private(set) var headers: [ContractHeader] = []
    /// How many bytes the head takes, with the empty line.
    private(set) var byteCount = 0

    /// Reads the head; nil if the output has none, or one that is malformed: it is all body then.
    init?(_ output: ByteBuffer) {
        let bytes = output.readableBytesView.prefix(Self.maxBytes)
        guard
            ["Content-Type:", "Status:"].contains(where: { bytes.starts(with: $0.utf8) })
        else { return nil }
        var rest = bytes
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            var line = rest[..<end]
            byteCount += line.count + 1
            rest = rest[(end + 1)...]
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            if line.isEmpty { return }
            guard headers.count < Activation.maxHeaders, take(line) else { return nil }
        }
        return nil
    }

    private mutating func take(_ line: ByteBufferView) -> Bool {
        guard let text = String(validating: line, as: UTF8.self),
            let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")),
            text.utf8[..<colon].allSatisfy({ $0 < 0x80 })
        else { return false }
        let name = text[..<colon].lowercased()
        let rest = text.utf8[colon...].dropFirst().drop { $0 == 0x20 }
        let value = String(Substring(rest))
        guard ContractHeader.isName(name), ContractHeader.isValue(value) else { return false }
        guard name == "status" else {
            headers.append(ContractHeader(name, value))
            return true
        }
        let digits = value.utf8.prefix { $0 != 0x20 }
        guard digits.count == 3, let status = Int32(String(Substring(digits))),
            (200...599).contains(status)
        else {
            return false
        }
        self.status = status
        return true
    }
}
