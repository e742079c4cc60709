// Contracts that ask others: what they pay, in which order answers are settled, and what of an
// answer they see.

import NIOCore
import Synchronization
import Testing
import WasmRules

@testable import WasmEngine

@Suite struct FetchTests {
    /// Fetches the URLs "weft://a", "weft://b" and "ipfs://c", and then does what is said.
    static func caller(_ text: String, headers: String = "") -> String {
        contract(
            """
            (data (i32.const 0) "weft://aweft://bipfs://cPUT\(headers)")
            (func $ask (param $at i32) (result i32)
              (call $fetch (local.get $at) (i32.const 8) (i32.const 24) (i32.const 3)
                (i32.const 27) (i32.const \(headers.replacing("\\0a", with: ".").count))
                (i32.const 0) (i32.const 2)))
            (func (export "run") \(text))
            """)
    }

    static func host(gas: Int64 = 1_000) -> ScriptedHost {
        ScriptedHost { fetch in
            ContractAnswer(
                status: 200, gas: fetch.gas == nil ? 0 : gas, headers: [.init("x-url", fetch.url)],
                body: .bytes(ByteBuffer(string: "answer of \(fetch.url)")))
        }
    }

    @Test("siblings are begun at once and settled in the order of their fetches")
    func order() async throws {
        let host = Self.host()
        let outcome = try await program(
            Self.caller(
                """
                (drop (call $ask (i32.const 0))) (drop (call $ask (i32.const 8)))
                (drop (call $ask (i32.const 16)))
                (call $pass (i32.const 2) (i64.const 0) (i64.const 100))
                (call $pass (i32.const 1) (i64.const 0) (i64.const 100))
                """)
        ).run(host: host)
        #expect(outcome.text == "answer of weft://banswer of weft://a")
        #expect(outcome.gas - outcome.ownGas == 2_000)
        #expect(
            host.log.withLock { $0 } == [
                "begin weft://a", "begin weft://b", "begin ipfs://c", "value weft://a",
                "value weft://b", "value ipfs://c",
            ])
    }

    @Test("a callee gets what weft-gas says, or half of what is left")
    func limits() async throws {
        let seen = ScriptedHost { fetch in
            #expect(fetch.verb == "PUT")
            #expect(String(buffer: fetch.body) == "we")
            return ContractAnswer(
                status: 200, gas: 0, headers: [.init("gas", "\(fetch.gas ?? -1)")])
        }
        let show = """
            (drop (call $ask (i32.const 0))) (drop (call $ask (i32.const 8)))
            (call $write (i32.const 100) (call $field (i32.const 1) (i32.const 3) (i32.const 200)
              (i32.const 3) (i32.const 100) (i32.const 50)))
            (i32.store8 (i32.const 99) (i32.const 10))
            (call $write (i32.const 99) (i32.const 1))
            (call $write (i32.const 100) (call $field (i32.const 2) (i32.const 3) (i32.const 200)
              (i32.const 3) (i32.const 100) (i32.const 50)))
            """
        let data = ") (data (i32.const 200) \"gas\") (func"
        let fixed = try await program(
            Self.caller(show + data, headers: "weft-gas: 77\\0aweft-arg-a: b\\0a")
        ).run(host: seen)
        #expect(fixed.text == "77\n77")
        let half = try await program(Self.caller(show + data)).run(gas: 1_000_000, host: seen)
        let numbers = half.text.split(separator: "\n").compactMap { Int64($0) }
        #expect(numbers.count == 2)
        #expect((490_000..<500_000).contains(numbers[0]))
        // Between the two: 14 for the function that fetches, 5,000, and 13 bytes.
        #expect([0, 1].contains { numbers[1] == (numbers[0] + $0 - 14 - 5_001) / 2 })
    }

    @Test("a limit over what is left is out of gas")
    func tooMuch() async throws {
        let outcome = try await program(
            Self.caller("(drop (call $ask (i32.const 0)))", headers: "weft-gas: 99999999\\0a")
        ).run(host: Self.host())
        #expect(outcome.status == .outOfGas)
    }

    @Test("what a callee does not use comes back when it is settled")
    func refund() async throws {
        let host = Self.host(gas: 300)
        let text = """
            (drop (call $ask (i32.const 0)))
            (drop (call $status (i32.const 1)))
            """
        let used = try await program(Self.caller(text)).run(host: host)
        let free = try await program(Self.caller(text)).run(host: Self.host(gas: 0))
        #expect(used.gas == free.gas + 300)
        #expect(used.gas - used.ownGas == 300)
    }

    @Test("a trap leaves open answers alone")
    func trap() async throws {
        let host = Self.host()
        let outcome = try await program(
            Self.caller(
                """
                (drop (call $ask (i32.const 0))) (drop (call $ask (i32.const 8)))
                (drop (call $status (i32.const 1))) (unreachable)
                """)
        ).run(host: host)
        #expect(outcome.status == .trap)
        #expect(outcome.gas - outcome.ownGas == 1_000)
        #expect(
            host.log.withLock { $0 } == [
                "begin weft://a", "begin weft://b", "value weft://a", "abandon weft://b",
            ])
    }

    @Test("content that cannot be had is no result, even if nobody looks at it")
    func unavailable() async throws {
        struct Gone: Error {}
        let host = ScriptedHost { _ in throw Gone() }
        for text in ["", "(drop (call $status (i32.const 1)))"] {
            await #expect(throws: Gone.self) {
                try await program(
                    Self.caller("(drop (call $ask (i32.const 16))) \(text)")
                ).run(host: host)
            }
        }
    }

    @Test("headers of fetch that are none are a trap", arguments: ["x", "a b: c", "weft-gas: 1x"])
    func malformed(header: String) async throws {
        let outcome = try await program(
            Self.caller("(drop (call $ask (i32.const 0)))", headers: header)
        ).run(host: Self.host())
        #expect(outcome.status == .trap)
    }
}
