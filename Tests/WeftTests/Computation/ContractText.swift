// Contracts for tests, assembled from text by wabt.

import Foundation
import HTTPTypes
import Multiformats
import NIOCore
import Testing

@testable import Weft

enum ContractText {
    /// What several tests call: `hello` answers with its body, `all` fetches the URLs that stand in
    /// its body, one a line, together, and answers with their bodies in that order; and others.
    static let many = """
        (module
          (import "weft" "read" (func $read (param i32 i64 i32 i32) (result i32)))
          (import "weft" "fetch"
            (func $fetch (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (import "weft" "status" (func $status (param i32) (result i32)))
          (import "weft" "respond" (func $respond (param i32)))
          (import "weft" "header" (func $header (param i32 i32 i32 i32)))
          (import "weft" "write" (func $write (param i32 i32)))
          (import "weft" "pass" (func $pass (param i32 i64 i64)))
          (import "weft" "seed" (func $seed (param i32 i32)))
          (memory (export "memory") 2)
          (data (i32.const 65536) "content-typetext/plainhello set-cookie/hello")
          (data (i32.const 65580) "weft-gas: 10000000\\0a")
          (func (export "hello")
            (call $header (i32.const 65536) (i32.const 12) (i32.const 65548) (i32.const 10))
            (call $header (i32.const 65564) (i32.const 10) (i32.const 65548) (i32.const 10))
            (call $write (i32.const 65558) (i32.const 6))
            (call $pass (i32.const 0) (i64.const 0) (i64.const 10000000)))
          (func (export "index") (call $respond (i32.const 204)))
          (func (export "loop") (loop (br 0)))
          (func (export "trap") (unreachable))
          (func (export "much")
            (call $write (i32.const 0) (i32.const 65536))
            (call $write (i32.const 0) (i32.const 65536)))
          (func (export "seed")
            (call $seed (i32.const 0) (i32.const 32)) (call $write (i32.const 0) (i32.const 32)))
          (func (export "outcome") (local $n i32)
            (local.set $n (call $read (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 9999)))
            (local.set $n (call $fetch (i32.const 0) (local.get $n) (i32.const 0) (i32.const 0)
              (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
            (i32.store (i32.const 0) (call $status (local.get $n)))
            (call $write (i32.const 0) (i32.const 4)))
          (func (export "many") (local $n i32)
            (loop $next
              (drop (call $fetch (i32.const 65574) (i32.const 6) (i32.const 0) (i32.const 0)
                (i32.const 65580) (i32.const 19) (i32.const 0) (local.get $n)))
              (br_if $next (i32.lt_u
                (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 10000)))))
          (func (export "all")
            (local $n i32) (local $i i32) (local $s i32) (local $c i32) (local $k i32)
            (local.set $n
              (call $read (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 60000)))
            (block $done (loop $next
              (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
              (if (i32.eq (i32.load8_u (local.get $i)) (i32.const 10)) (then
                (local.set $c
                  (call $fetch (local.get $s) (i32.sub (local.get $i) (local.get $s))
                    (i32.const 0) (i32.const 0) (i32.const 65580) (i32.const 19) (i32.const 0)
                    (i32.const 0)))
                (local.set $s (i32.add (local.get $i) (i32.const 1)))))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br $next)))
            (block $end (loop $each
              (br_if $end (i32.ge_u (local.get $k) (local.get $c)))
              (local.set $k (i32.add (local.get $k) (i32.const 1)))
              (call $pass (local.get $k) (i64.const 0) (i64.const 1000000))
              (br $each)))))
        """

    /// A program for WASI that opens `a.txt` in its directory and answers with its first bytes.
    static let reader = """
        (module
          (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_read"
            (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\\00\\01\\00\\00\\64\\00\\00\\00")
          (data (i32.const 16) "a.txt")
          (func (export "_start")
            (if (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 5)
                (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 32))
              (then (call $exit (i32.const 1))))
            (drop (call $read
              (i32.load (i32.const 32)) (i32.const 0) (i32.const 1) (i32.const 4)))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
        """

    /// The module of a text.
    static func assemble(_ text: String) throws -> [UInt8] {
        let place = try TemporaryDirectory()
        try place.write("module.wat", Array(text.utf8))
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["wat2wasm", "module.wat", "-o", "module.wasm"]
        process.currentDirectoryURL = URL(filePath: place.path)
        try process.run()
        process.waitUntilExit()
        return try [UInt8](Data(contentsOf: URL(filePath: place.path + "/module.wasm")))
    }
}

extension Node {
    /// Adds bytes as a file.
    func addFile(_ bytes: [UInt8]) async throws -> CID {
        let upload = try Upload(into: self)
        _ = try await upload.addFile("file", ResponseBody(ByteBuffer(bytes: bytes)))
        return try await upload.finish().result.roots[0].cid
    }

    /// Publishes a contract.
    func publish(contract text: String) async throws -> CID {
        try await addFile(try ContractText.assemble(text))
    }

    /// Calls a contract; gives the response and its body.
    func call(
        _ url: String, _ body: String? = nil, _ change: (inout Request) throws -> Void = { _ in }
    ) async throws -> (response: Response, text: String, body: ByteBuffer) {
        var request = Request(
            url, method: body == nil ? .get : .post,
            body: body.map { ResponseBody(ByteBuffer(string: $0)) })
        try change(&request)
        let response = try await fetch(request)
        let body = try await response.body.collect(upTo: 100 << 20)
        return (response, String(buffer: body), body)
    }
}
