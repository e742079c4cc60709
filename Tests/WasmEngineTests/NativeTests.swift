// Every function of the module `weft`, by what contracts see and pay.

import NIOCore
import Testing
import WasmRules

@testable import WasmEngine

@Suite struct NativeTests {
    /// Writes field `kind` of source 0 (of the name at 0, 12 bytes long) to the response.
    static let fields = contract(
        """
        (data (i32.const 0) "content-type")
        (func $put (param $kind i32) (local $n i32)
          (local.set $n (call $field (i32.const 0) (local.get $kind) (i32.const 0) (i32.const 12)
            (i32.const 100) (i32.const 1000)))
          (if (i32.lt_s (local.get $n) (i32.const 0)) (then (unreachable)))
          (call $write (i32.const 100) (local.get $n))
          (i32.store8 (i32.const 99) (i32.const 10))
          (call $write (i32.const 99) (i32.const 1)))
        (func (export "run")
          (call $put (i32.const 0)) (call $put (i32.const 1)) (call $put (i32.const 2))
          (call $put (i32.const 3)) (call $put (i32.const 4)))
        """)

    @Test("field gives method, path, query and headers")
    func fields() async throws {
        let outcome = try await program(Self.fields).run {
            $0.verb = "POST"
            $0.path = "/run/a b"
            $0.query = "x=%20"
            $0.headers = [.init("accept", "*/*"), .init("content-type", "text/plain")]
        }
        #expect(outcome.status == .ok)
        #expect(outcome.text == "POST\n/run/a b\nx=%20\ntext/plain\naccept\ncontent-type\n\n")
    }

    @Test("a field that is absent is -1, and one that does not fit gives its length")
    func fieldLengths() async throws {
        let text = contract(
            """
            (func (export "run")
              (if (i32.ne (i32.const -1) (call $field (i32.const 0) (i32.const 3) (i32.const 0)
                  (i32.const 3) (i32.const 0) (i32.const 0))) (then (unreachable)))
              (if (i32.ne (i32.const 4) (call $field (i32.const 0) (i32.const 1) (i32.const 0)
                  (i32.const 0) (i32.const 10) (i32.const 2))) (then (unreachable)))
              (call $write (i32.const 10) (i32.const 4)))
            (data (i32.const 0) "abc")
            """)
        let outcome = try await program(text).run()
        #expect(outcome.status == .ok)
        #expect(Array(outcome.response.body.readableBytesView) == Array("/r".utf8) + [0, 0])
    }

    @Test("the body is read by range and passed on", arguments: [false, true])
    func body(isFile: Bool) async throws {
        let text = contract(
            """
            (func (export "run") (local $n i32)
              (local.set $n (call $read (i32.const 0) (i64.const 6) (i32.const 0) (i32.const 100)))
              (call $write (i32.const 0) (local.get $n))
              (call $pass (i32.const 0) (i64.const 0) (i64.const 5))
              (i64.store (i32.const 0) (call $size (i32.const 0)))
              (call $write (i32.const 0) (i32.const 1))
              (if (call $read (i32.const 0) (i64.const 11) (i32.const 0) (i32.const 100))
                (then (unreachable)))
              (call $pass (i32.const 0) (i64.const 9) (i64.const 9999)))
            """)
        let bytes = Array("hello world".utf8)
        let outcome = try await program(text).run {
            $0.body = isFile ? .file(MemoryFile(bytes: bytes)) : .bytes(ByteBuffer(bytes: bytes))
        }
        #expect(outcome.status == .ok)
        #expect(outcome.text == "worldhello\u{b}ld")
    }

    @Test("status and headers of the response, sorted, the last of a name")
    func response() async throws {
        let text = contract(
            """
            (data (i32.const 0) "x-btextx-ahtml")
            (func (export "run")
              (call $respond (i32.const 404))
              (call $header (i32.const 0) (i32.const 3) (i32.const 3) (i32.const 4))
              (call $header (i32.const 7) (i32.const 3) (i32.const 3) (i32.const 4))
              (call $header (i32.const 0) (i32.const 3) (i32.const 10) (i32.const 4)))
            """)
        let response = try await program(text).run().response
        #expect(response.status == 404)
        #expect(response.headers == [.init("x-a", "text"), .init("x-b", "html")])
    }

    @Test("seed gives one stream that belongs to the call")
    func seed() async throws {
        let text = contract(
            """
            (func (export "run")
              (call $seed (i32.const 0) (i32.const 40))
              (call $write (i32.const 0) (i32.const 40)))
            (func (export "twice")
              (call $seed (i32.const 0) (i32.const 3))
              (call $seed (i32.const 3) (i32.const 37))
              (call $write (i32.const 0) (i32.const 40)))
            """)
        let program = try program(text)
        let one = try await program.run()
        #expect(one.response.body == (try await program.run("twice").response.body))
        let other = try await program.run { $0.seed = [UInt8](repeating: 1, count: 32) }
        #expect(one.response.body != other.response.body)
        // SHA-256 of 40 zero bytes begins so.
        #expect(Array(one.response.body.readableBytesView.prefix(4)) == [0x2c, 0x34, 0xce, 0x1d])
    }

    @Test("what the functions cost")
    func prices() async throws {
        let text = contract(
            """
            (func (export "none"))
            (func (export "size") (drop (call $size (i32.const 0))))
            (func (export "write") (call $write (i32.const 0) (i32.const 23)))
            (func (export "read") (drop (call $read (i32.const 0) (i64.const 0) (i32.const 0)
              (i32.const 100))))
            (func (export "header") (call $header (i32.const 0) (i32.const 6) (i32.const 0)
              (i32.const 3)))
            (func (export "field") (drop (call $field (i32.const 0) (i32.const 3) (i32.const 0)
              (i32.const 6) (i32.const 100) (i32.const 100))))
            (data (i32.const 0) "accept")
            """)
        let program = try program(text)
        func gas(_ method: String) async throws -> Int64 {
            try await program.run(method) {
                $0.headers = [.init("accept", "abc")]
                $0.body = .bytes(ByteBuffer(repeating: 7, count: 17))
            }.gas
        }
        // The page of memory, and 6 bytes of data.
        #expect(try await gas("none") == 8_192)
        // A constant, a call, drop.
        #expect(try await gas("size") == 8_192 + 7 + 200)
        #expect(try await gas("write") == 8_192 + 7 + 200 + 2)
        #expect(try await gas("read") == 8_192 + 10 + 200 + 2)
        #expect(try await gas("header") == 8_192 + 9 + 200 + 1)
        #expect(try await gas("field") == 8_192 + 12 + 200 + 1)
    }

    static let misuses = [
        "(call $write (i32.const 65530) (i32.const 7))",
        "(call $write (i32.const -1) (i32.const 1))",
        "(drop (call $read (i32.const 0) (i64.const 0) (i32.const 65535) (i32.const 4)))",
        "(drop (call $size (i32.const 1)))", "(drop (call $size (i32.const -1)))",
        "(drop (call $status (i32.const 0)))", "(call $respond (i32.const 99))",
        "(call $header (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 1))",
        "(call $header (i32.const 2) (i32.const 0) (i32.const 3) (i32.const 1))",
        "(call $header (i32.const 2) (i32.const 1) (i32.const 1) (i32.const 1))",
        "(drop (call $field (i32.const 0) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 0)"
            + " (i32.const 0)))",
        "(drop (call $fetch (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)"
            + " (i32.const 0) (i32.const 0) (i32.const 0)))",
    ]

    @Test("misuse is a trap that costs all", arguments: misuses)
    func misuse(text: String) async throws {
        // 0xff is no UTF-8, a line feed no header, and "A" no small letter.
        let outcome = try await program(
            contract("(data (i32.const 0) \"\\ff\\0aa\") (func (export \"run\") \(text))")
        ).run { $0.body = .bytes(ByteBuffer(string: "abcd")) }
        #expect(outcome.status == .trap)
        #expect(outcome.gas == 10_000_000)
        #expect(outcome.response.body.readableBytes == 0)
    }

    @Test("a contract without memory can do what needs none")
    func noMemory() async throws {
        let program = try program(
            """
            (module (import "weft" "respond" (func $respond (param i32)))
              (import "weft" "write" (func $write (param i32 i32)))
              (func (export "run") (call $respond (i32.const 201))
                (call $write (i32.const 0) (i32.const 0)))
              (func (export "bad") (call $write (i32.const 0) (i32.const 1))))
            """)
        #expect(try await program.run().response.status == 201)
        #expect(try await program.run("bad").status == .trap)
    }
}
