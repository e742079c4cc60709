// The module `weft` of the native ABI, version 1 (docs/contracts.md). Prices and their order are in
// docs/contracts-rules.md.

import NIOCore
import WasmRules
import Wire

extension HostFunction {
    /// The functions of the module `weft`.
    static let native: [HostFunction] = [
        weft("field", "iiiiii", "i", NativeImports.field),
        weft("size", "i", "l") { (run, arguments) throws(HostExit) in
            try run.payCall()
            return try run.body(of: arguments.i32(0)).size
        },
        weft("read", "ilii", "i", NativeImports.read),
        weft("fetch", "iiiiiiii", "i", NativeImports.fetch),
        weft("status", "i", "i") { (run, arguments) throws(HostExit) in
            try run.payCall()
            guard arguments.i32(0) != 0 else { throw .trap("a request has no status") }
            return Int64(try run.answer(arguments.i32(0)).status)
        },
        weft("respond", "i", "") { (run, arguments) throws(HostExit) in
            try run.payCall()
            guard (200...599).contains(arguments.i32(0)) else {
                throw .trap("a response's status is from 200 to 599")
            }
            run.response.status = arguments.i32(0)
            return 0
        },
        weft("header", "iiii", "") { (run, arguments) throws(HostExit) in
            try run.payCall()
            try run.pay(bytes: arguments.u32(1) + arguments.u32(3))
            try run.setHeader(
                try run.text(arguments.u32(0), arguments.u32(1)),
                try run.text(arguments.u32(2), arguments.u32(3)))
            return 0
        },
        weft("write", "ii", "") { (run, arguments) throws(HostExit) in
            try run.payCall()
            try run.pay(bytes: arguments.u32(1))
            let bytes = try run.range(arguments.u32(0), arguments.u32(1))
            try run.reserveOutput(bytes.count)
            run.response.body.writeBytes(bytes)
            return 0
        },
        weft("pass", "ill", "", NativeImports.pass),
        weft("seed", "ii", "") { (run, arguments) throws(HostExit) in
            try run.payCall()
            try run.fillWithSeed(arguments.u32(0), arguments.u32(1))
            return 0
        },
    ]

    private static func weft(
        _ name: String, _ parameters: String, _ result: String, _ body: @escaping Body
    ) -> HostFunction {
        HostFunction("weft", name, parameters, result, body)
    }
}

/// Those functions of the module `weft` that are longer.
private enum NativeImports {
    /// `field(source, kind, name, name_len, out, out_len) -> length or -1`.
    static func field(_ run: Activation, _ arguments: HostArguments) throws(HostExit) -> Int64 {
        try run.payCall()
        let source = arguments.i32(0)
        let headers = try run.headers(of: source)
        let kind = arguments.i32(1)
        guard (0...4).contains(kind) else { throw .trap("there is no such kind of field") }
        var named = 0
        var name = ""
        if kind == 3 {
            named = arguments.u32(3)
            try run.pay(bytes: named)
            name = try run.text(arguments.u32(2), named)
        }
        let text: String?
        switch kind {
        case 0: text = source == 0 ? run.request.verb : nil
        case 1: text = source == 0 ? run.request.path : nil
        case 2: text = source == 0 ? run.request.query : nil
        case 3: text = headers.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
        default: text = headers.map { $0.name + "\n" }.joined()
        }
        guard let text else { return -1 }
        let copied = min(text.utf8.count, arguments.u32(5))
        // Name and value are counted together.
        try run.pay(
            Int64(named + copied) >> GasSchedule.hostBytesShift
                - Int64(named) >> GasSchedule.hostBytesShift)
        try run.copy(text.utf8, arguments.u32(4), copied)
        return Int64(text.utf8.count)
    }

    /// `read(source, offset, out, len) -> bytes copied`.
    static func read(_ run: Activation, _ arguments: HostArguments) throws(HostExit) -> Int64 {
        try run.payCall()
        let body = try run.body(of: arguments.i32(0))
        let offset = arguments.i64(1)
        guard offset >= 0 else { throw .trap("an offset is not negative") }
        guard offset < body.size else { return 0 }
        let count = Int(min(Int64(arguments.u32(3)), body.size - offset))
        try run.pay(bytes: count)
        let target = try run.range(arguments.u32(2), count)
        guard count > 0 else { return 0 }
        do {
            try body.copy(from: offset, into: target)
        } catch {
            throw .failed(error)
        }
        return Int64(count)
    }

    /// `pass(source, offset, len)`.
    static func pass(_ run: Activation, _ arguments: HostArguments) throws(HostExit) -> Int64 {
        try run.payCall()
        let body = try run.body(of: arguments.i32(0))
        let (offset, length) = (arguments.i64(1), arguments.i64(2))
        guard offset >= 0, length >= 0 else {
            throw .trap("an offset and a length are not negative")
        }
        guard offset < body.size, length > 0 else { return 0 }
        let count = min(length, body.size - offset)
        try run.pay(count >> GasSchedule.hostBytesShift)
        try run.reserveOutput(Int(count))
        do {
            try body.append(offset..<(offset + count), to: &run.response.body)
        } catch {
            throw .failed(error)
        }
        return 0
    }

    /// `fetch(url, url_len, method, method_len, headers, headers_len, body, body_len) -> source`.
    static func fetch(_ run: Activation, _ arguments: HostArguments) throws(HostExit) -> Int64 {
        try run.pay(GasSchedule.hostFetch)
        try run.pay(
            bytes: arguments.u32(1) + arguments.u32(3) + arguments.u32(5) + arguments.u32(7))
        let url = try run.text(arguments.u32(0), arguments.u32(1))
        let verb = try run.text(arguments.u32(2), arguments.u32(3))
        let headers = try headers(in: try run.text(arguments.u32(4), arguments.u32(5)))
        let body = ByteBuffer(bytes: try run.range(arguments.u32(6), arguments.u32(7)))
        var fetch = ContractFetch(
            url: url, verb: verb.isEmpty ? "GET" : verb, headers: headers, body: body)
        let isCall = ["weft://", "/"].contains { url.utf8.starts(with: $0.utf8) }
        guard isCall else { return Int64(try run.fetch(fetch, reserving: 0)) }
        let limit = try limit(in: headers) ?? run.gas / 2
        try run.reserve(limit)
        fetch.gas = limit
        return Int64(try run.fetch(fetch, reserving: limit))
    }

    /// The header fields in lines of `name: value`, sorted; the last of a name counts.
    private static func headers(in text: String) throws(HostExit) -> [ContractHeader] {
        var headers: [ContractHeader] = []
        for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
            guard headers.count < Activation.maxHeaders,
                let colon = line.firstIndex(of: UInt8(ascii: ":"))
            else { throw .trap("a header of fetch is malformed") }
            let name = String(Substring(line[..<colon])).lowercased()
            let value = String(Substring(line[colon...].dropFirst())).trimmedOfBlanks
            guard ContractHeader.isName(name), ContractHeader.isValue(value) else {
                throw .trap("a header of fetch is malformed")
            }
            headers.removeAll { $0.name == name }
            headers.append(ContractHeader(name, value))
        }
        return headers.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    /// The callee's limit that a header gives.
    private static func limit(in headers: [ContractHeader]) throws(HostExit) -> Int64? {
        guard let text = headers.first(where: { $0.name == "weft-gas" })?.value else { return nil }
        guard let limit = Int64(text), limit >= 0, String(limit).utf8.elementsEqual(text.utf8)
        else {
            throw .trap("weft-gas is no number")
        }
        return limit
    }
}
