// Calls and records that the tests are about.

import Compute
import IPLD
import Multiformats
import TestSupport
import Wire

/// The CID of a file with these bytes.
func file(_ bytes: [UInt8]) -> CID { EncodedBlock(bytes, codec: .raw).cid }

/// The contract that most tests call.
let contract = file([0, 0x61, 0x73, 0x6d])

/// A call of that contract.
func makeCall(_ path: String = "/count", gas: UInt64 = 1_000_000) throws -> Call {
    try Call(contract, path: path, gas: gas)
}

/// An answer to a call without calls of its own.
func makeRecord(_ call: Call, _ text: String = "42", gas: UInt64 = 1_000) throws -> CallRecord {
    try CallRecord(
        call, outcome: .ok, output: CallOutput(body: .inline(Array(text.utf8))), gas: gas,
        ownGas: gas)
}

/// An answer to a call that made others.
func makeRecord(
    _ call: Call, calling children: [CallRecord], ownGas: UInt64 = 500, _ text: String = "sum"
) throws -> CallRecord {
    try CallRecord(
        call, outcome: .ok, output: CallOutput(body: .inline(Array(text.utf8))),
        gas: children.reduce(ownGas) { $0 + $1.gas }, ownGas: ownGas,
        children: children.map { $0.cid })
}

extension Noise {
    /// A random text, now and then with characters that need care.
    mutating func text(upTo most: Int, of letters: String) -> String {
        let letters = Array(letters)
        return String(
            (0..<Int.random(in: 0...most, using: &self)).map { _ in
                letters.randomElement(using: &self)!
            })
    }

    /// A random body.
    mutating func body() -> CallBody {
        Bool.random(using: &self) ? .inline(bytes(upTo: 100)) : .content(file(bytes(upTo: 9)))
    }

    /// A random call.
    mutating func call() throws -> Call {
        var headers = CallHeaders()
        for _ in 0..<Int.random(in: 0...5, using: &self) {
            let name = [
                "Accept", "content-type", "weft-dir", "weft-arg-" + text(upTo: 4, of: "abz"),
            ]
            try headers.append(name.randomElement(using: &self)!, text(upTo: 9, of: "a b,é/;="))
        }
        return try Call(
            file(bytes(upTo: 9)), method: ["GET", "POST", "Q"].randomElement(using: &self)!,
            path: text(upTo: 20, of: "/ab%é?#💡 +"), query: text(upTo: 20, of: "a=&%+?"),
            headers: headers, body: body(), gas: .random(in: 1...CallLimits.maxGas, using: &self),
            rules: .random(in: 0...UInt32.max, using: &self))
    }

    /// A random record.
    mutating func record() throws -> CallRecord {
        let call = try call()
        let reads = Set((0..<Int.random(in: 0...4, using: &self)).map { UInt8($0) })
            .map { file([$0]) }
        let outcome = Outcome.allCases.randomElement(using: &self)!
        let children = try (0..<Int.random(in: 0...3, using: &self)).map { _ in
            try makeRecord(self.call(), gas: 1).cid
        }
        let own = call.gas
        guard outcome == .ok else {
            return try CallRecord(
                call, outcome: outcome, output: nil, gas: own, ownGas: own, reads: reads,
                children: children)
        }
        var headers = CallHeaders()
        try headers.set("Content-Type", "text/plain")
        return try CallRecord(
            call, outcome: .ok,
            output: CallOutput(
                status: .random(in: 200...599, using: &self), headers: headers, body: body()),
            gas: own, ownGas: own, reads: reads, children: children)
    }
}
