// One case of a conformance table: a request, and what its answer must be.

import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import Testing
import Weft

@testable import Gateway

/// One request and what its answer must be.
struct Case {
    let name: String
    var method = HTTPRequest.Method.get
    var host = "127.0.0.1:8080"
    let target: String
    var headers: [(String, String)] = []
    let expect: [Check]

    init(
        _ name: String, _ method: HTTPRequest.Method, host: String = "127.0.0.1:8080",
        _ target: String, _ headers: [(String, String)], _ expect: [Check]
    ) {
        self.name = name
        self.method = method
        self.host = host
        self.target = target
        self.headers = headers
        self.expect = expect
    }

    init(_ name: String, _ method: HTTPRequest.Method, _ target: String, _ expect: [Check]) {
        self.init(name, method, target, [], expect)
    }

    init(_ name: String, _ target: String, _ headers: [(String, String)], _ expect: [Check]) {
        self.init(name, .get, target, headers, expect)
    }

    init(_ name: String, _ target: String, _ expect: [Check]) {
        self.init(name, .get, target, [], expect)
    }

    init(
        _ name: String, host: String, _ target: String, _ headers: [(String, String)],
        _ expect: [Check]
    ) {
        self.init(name, .get, host: host, target, headers, expect)
    }

    init(_ name: String, host: String, _ target: String, _ expect: [Check]) {
        self.init(name, .get, host: host, target, [], expect)
    }
}

/// Something that an answer must be.
indirect enum Check {
    case status(Int)
    case statusIn(ClosedRange<Int>)
    case header(String, String)
    case headerHas(String, String)
    case headerLacks(String, String)
    case headerExists(String)
    case headerAbsent(String)
    case body([UInt8])
    case text(String)
    case has(String)
    case lacks(String)
    /// A CAR of exactly these blocks in this order.
    case car([CID])
    /// A CAR of exactly these blocks.
    case carSet([CID])
    /// A CAR that has these blocks, and perhaps others.
    case carHas([CID])
    /// A tar that has a file; with this content unless it is nil.
    case tar(String, String?)
    case anyOf([[Check]])
}

/// A whole answer.
struct Answer {
    let status: Int
    let headers: HTTPFields
    let body: [UInt8]
    let failure: String?

    /// What does not hold of it; nil if the check does.
    func problem(_ check: Check) -> String? {
        func field(_ name: String) -> String? {
            HTTPField.Name(name).flatMap { headers[$0] }
        }
        switch check {
        case .status(let wanted): return wanted == status ? nil : "status \(status), not \(wanted)"
        case .statusIn(let range): return range.contains(status) ? nil : "status \(status)"
        case .header(let name, let value):
            return field(name) == value ? nil : "\(name) is \(field(name) ?? "nil"), not \(value)"
        case .headerHas(let name, let part):
            return field(name)?.contains(part) ?? false
                ? nil : "\(name) is \(field(name) ?? "nil"), without \(part)"
        case .headerLacks(let name, let part):
            return field(name)?.contains(part) ?? false ? "\(name) has \(part)" : nil
        case .headerExists(let name):
            return field(name)?.isEmpty ?? true ? "\(name) is missing" : nil
        case .headerAbsent(let name):
            return field(name).map { "\(name) is \($0)" }
        case .body(let bytes):
            return bytes == body ? nil : "the body is \(excerpt)"
        case .text(let text):
            return Array(text.utf8) == body ? nil : "the body is \(excerpt)"
        case .has(let text):
            return string.contains(text) ? nil : "the body lacks \(text): \(excerpt)"
        case .lacks(let text): return string.contains(text) ? "the body has \(text)" : nil
        case .car(let cids): return carProblem { $0 == cids }
        case .carSet(let cids): return carProblem { $0.count == cids.count && Set($0) == Set(cids) }
        case .carHas(let cids): return carProblem { Set($0).isSuperset(of: cids) }
        case .tar(let name, let content): return tarProblem(name, content)
        case .anyOf(let choices):
            let problems = choices.map { $0.compactMap(problem) }
            return problems.contains(where: \.isEmpty)
                ? nil : "no choice holds: \(problems.map { $0.joined(separator: ", ") })"
        }
    }

    private var string: String { String(decoding: body, as: UTF8.self) }
    private var excerpt: String { String(string.prefix(600)) }

    private func carProblem(_ holds: ([CID]) -> Bool) -> String? {
        var reader = CARReader()
        var rest = body[...]
        var found: [CID] = []
        do {
            while !rest.isEmpty {
                switch try reader.next(rest.span.bytes) {
                case .header(_, let consumed): rest = rest.dropFirst(consumed)
                case .section(let cid, let payload, let consumed):
                    let start = rest.startIndex
                    let range = (start + payload.lowerBound)..<(start + payload.upperBound)
                    try cid.hash.verify(rest[range].span.bytes)
                    found.append(cid)
                    rest = rest.dropFirst(consumed)
                case .skip, .needMore, .end: return "the CAR is cut off"
                }
            }
        } catch {
            return "the CAR is malformed: \(error)"
        }
        if let failure { return "the body failed: \(failure)" }
        return holds(found) ? nil : "the CAR has \(found)"
    }

    private func tarProblem(_ name: String, _ content: String?) -> String? {
        var offset = 0
        var names: [String] = []
        var longName: String?
        while offset + 512 <= body.count, body[offset] != 0 {
            let block = body[offset..<(offset + 512)]
            func text(_ start: Int, _ length: Int) -> String {
                let bytes = block.dropFirst(start).prefix(length).prefix { $0 != 0 }
                return String(decoding: bytes, as: UTF8.self)
            }
            let size = Int(text(124, 11), radix: 8) ?? 0
            let data = body.dropFirst(offset + 512).prefix(size)
            if text(156, 1) == "x" {
                let record = String(decoding: data, as: UTF8.self)
                if let range = record.firstRange(of: " path=") {
                    longName = String(record[range.upperBound...].prefix { $0 != "\n" })
                }
            } else {
                let path = longName ?? text(0, 100)
                longName = nil
                names.append(path)
                if path == name {
                    return content.map { Array($0.utf8) == Array(data) } ?? true
                        ? nil : "\(name) has other content"
                }
            }
            offset += 512 + (size + 511) / 512 * 512
        }
        return "the tar has \(names), not \(name)"
    }
}

/// Runs tables of cases against a gateway.
struct Table {
    let gateway: Gateway

    /// Asks for one thing and reads the whole answer.
    func answer(_ item: Case) async -> Answer {
        var fields = HTTPFields()
        for (name, value) in item.headers {
            if let name = HTTPField.Name(name) {
                fields.append(HTTPField(name: name, value: value))
            }
        }
        let head = HTTPRequest(
            method: item.method, scheme: "http", authority: item.host, path: item.target,
            headerFields: fields)
        let response = await gateway.respond(to: Gateway.Incoming(head))
        var body: [UInt8] = []
        var failure: String?
        do {
            for try await part in response.body { body += Array(part.readableBytesView) }
        } catch {
            failure = "\(error)"
        }
        return Answer(
            status: response.status.code, headers: response.headers, body: body, failure: failure)
    }

    /// Runs all cases; each that fails is an issue of its own.
    func run(_ cases: [Case], sourceLocation: SourceLocation = #_sourceLocation) async {
        for item in cases {
            let answer = await answer(item)
            for check in item.expect {
                if let problem = answer.problem(check) {
                    Issue.record("\(item.name): \(problem)", sourceLocation: sourceLocation)
                }
            }
        }
    }
}
