// The cases of a contract: files in tests/ that say what is asked and what has to be answered.

import Weft

/// One request to a contract, and the response that it must get.
struct ContractCase: Sendable {
    let name: String
    let method: String
    /// Path and query of the URL.
    let target: String
    let headers: [ContractField]
    let body: [UInt8]
    /// Nil if nothing is said about the response.
    let expected: ExpectedResponse?
    /// The file that says what is expected.
    let responseFile: String

    /// The largest file of a case.
    static let maxFileBytes = 64 << 20

    /// The cases in a folder, by name.
    static func all(in folder: String, cids: [String: String]) throws -> [ContractCase] {
        guard WholeFile.kind(of: folder) == .folder else {
            throw CommandFailure(
                "there is no folder '\(folder)' with cases; see 'weft help contract test'")
        }
        let names = try WholeFile.names(in: folder).filter { $0.hasSuffix(".request") }
        guard !names.isEmpty else {
            throw CommandFailure("there is no case in '\(folder)': write one, NAME.request")
        }
        return try names.map { name in
            try ContractCase("\(folder)/\(name.dropLast(".request".count))", cids)
        }
    }

    private init(_ path: String, _ cids: [String: String]) throws {
        name = path.split(separator: "/").last.map(String.init) ?? path
        let request = try CaseFile("\(path).request", cids)
        let words = request.first.split(separator: " ")
        guard words.count == 2, words[1].hasPrefix("/") else {
            throw CommandFailure(
                "\(path).request does not begin with a line such as GET /greet?name=Ada")
        }
        method = String(words[0])
        target = String(words[1])
        headers = request.fields
        body = request.body ?? []
        responseFile = "\(path).response"
        expected =
            WholeFile.kind(of: responseFile) == .nothing
            ? nil : try ExpectedResponse(CaseFile(responseFile, cids), responseFile)
    }
}

/// A header field.
struct ContractField: Hashable, Sendable {
    let name: String
    let value: String
}

/// How calls end, as cases and people read it.
enum ContractEnd: String, Sendable {
    case ok
    case outOfGas = "out of gas"
    case stackExhausted = "stack exhausted"
    case trap
}

/// What a response has to be. What is not said may be anything.
struct ExpectedResponse: Sendable {
    var end = ContractEnd.ok
    var status: Int?
    var fields: [ContractField]
    var gas: UInt64?
    var body: [UInt8]?

    fileprivate init(_ file: CaseFile, _ path: String) throws {
        if let status = Int(file.first) {
            self.status = status
        } else if let end = ContractEnd(rawValue: file.first) {
            self.end = end
        } else {
            throw CommandFailure(
                "\(path) does not begin with a status, or with: out of gas, stack exhausted, trap")
        }
        fields = file.fields.filter { $0.name != "gas" }
        if let text = file.fields.first(where: { $0.name == "gas" })?.value {
            guard let gas = UInt64(text) else {
                throw CommandFailure("\(path) has a line gas: without a number")
            }
            self.gas = gas
        }
        body = file.body
    }

    /// What of a response is not as expected.
    func differences(from response: ContractRun) -> [String] {
        var differences: [String] = []
        if response.end != end {
            differences.append(
                "it should end with \(end.rawValue), and ended with \(response.end.rawValue)")
        }
        if let status, response.end == .ok, response.status != status {
            differences.append("the status should be \(status), and is \(response.status)")
        }
        for field in fields {
            let found = response.fields.first { $0.name == field.name }?.value
            if found != field.value {
                differences.append(
                    "\(field.name) should be '\(field.value)', and is"
                        + (found.map { " '\($0)'" } ?? " not there"))
            }
        }
        if let gas, response.gas != gas {
            differences.append("it should use \(gas) gas, and used \(response.gas)")
        }
        if let body, body != response.body {
            differences.append("the body should be another: \(Self.first(response.body, body))")
        }
        return differences
    }

    /// Where two bodies differ first.
    private static func first(_ found: [UInt8], _ expected: [UInt8]) -> String {
        let place =
            zip(found, expected).enumerated().first { $1.0 != $1.1 }?.offset
            ?? min(found.count, expected.count)
        let line = found[..<place].count { $0 == 0x0a } + 1
        func excerpt(_ bytes: [UInt8]) -> String {
            let start = bytes[..<place].lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
            let text = String(decoding: bytes[max(start, place - 40)...].prefix(80), as: UTF8.self)
            return text.split(separator: "\n", omittingEmptySubsequences: false).first
                .map { "'\($0)'" } ?? "its end"
        }
        return
            "at byte \(place), in line \(line), there is \(excerpt(found)),"
            + " not \(excerpt(expected))"
    }
}

/// A file of a case: a first line, header lines, and behind an empty line the body.
private struct CaseFile {
    let first: String
    let fields: [ContractField]
    /// Nil if there is no empty line, and no file that has the body.
    let body: [UInt8]?

    init(_ path: String, _ cids: [String: String]) throws {
        let bytes = try Self.filled(
            WholeFile.read(path, limit: ContractCase.maxFileBytes), cids, path)
        var lines: [String] = []
        var rest = bytes[...]
        var found: [UInt8]?
        while !rest.isEmpty {
            let end = rest.firstIndex(of: 0x0a) ?? rest.endIndex
            let line = String(decoding: rest[..<end], as: UTF8.self)
            rest = rest[min(end + 1, rest.endIndex)...]
            if line.isEmpty {
                found = Array(rest)
                break
            }
            lines.append(line)
        }
        guard let first = lines.first else { throw CommandFailure("\(path) is empty") }
        self.first = first
        fields = try lines.dropFirst().map { line in
            guard let colon = line.firstIndex(of: ":") else {
                throw CommandFailure("\(path) has a line that is no header: \(line)")
            }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            return ContractField(name: line[..<colon].lowercased(), value: String(value))
        }
        let bodyFile = path + ".body"
        if WholeFile.kind(of: bodyFile) == .file {
            found = try WholeFile.read(bodyFile, limit: ContractCase.maxFileBytes)
        }
        body = found
    }

    /// Replaces `{cid:NAME}` by the CID of the content of that name.
    private static func filled(
        _ bytes: [UInt8], _ cids: [String: String], _ path: String
    ) throws -> [UInt8] {
        guard let text = String(validating: bytes, as: UTF8.self), text.contains("{cid:") else {
            return bytes
        }
        var out = ""
        var rest = text[...]
        while let match = rest.firstMatch(of: /\{cid:([^}\s]+)\}/) {
            guard let cid = cids[String(match.1)] else {
                throw CommandFailure(
                    "\(path) names content that is not in tests/content: \(match.1)")
            }
            out += rest[..<match.range.lowerBound] + cid
            rest = rest[match.range.upperBound...]
        }
        return Array((out + rest).utf8)
    }
}
