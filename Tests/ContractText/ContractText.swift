// Contracts for tests, assembled from text by wabt.

import Foundation

/// Contracts as text, and what makes modules of them.
public enum ContractText {
    /// A contract with the imports of the native interface, a memory, and what a test adds.
    public static func native(_ text: String, pages: String = "1") -> String {
        """
        (module
          (import "weft" "field" (func $field (param i32 i32 i32 i32 i32 i32) (result i32)))
          (import "weft" "size" (func $size (param i32) (result i64)))
          (import "weft" "read" (func $read (param i32 i64 i32 i32) (result i32)))
          (import "weft" "fetch"
            (func $fetch (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (import "weft" "status" (func $status (param i32) (result i32)))
          (import "weft" "respond" (func $respond (param i32)))
          (import "weft" "header" (func $header (param i32 i32 i32 i32)))
          (import "weft" "write" (func $write (param i32 i32)))
          (import "weft" "pass" (func $pass (param i32 i64 i64)))
          (import "weft" "seed" (func $seed (param i32 i32)))
          (memory (export "memory") \(pages))
          \(text))
        """
    }

    /// What several tests call: `hello` answers with its body, `all` fetches the URLs that stand in
    /// its body, one a line, together, and answers with their bodies in that order; and others.
    public static let many = native(
        """
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
              (br $each))))
        """, pages: "2")

    /// What goes to the limits. The query is a number: how often, how deep, how much.
    public static let limits = native(
        """
          (data (i32.const 100) "/nest?00/trap/index")
          (data (i32.const 200) "weft-gas: 10000000\\0a")
          (data (i32.const 300) "/pile?00")
          (func $number (result i32) (local $i i32) (local $n i32) (local $v i32)
            (local.set $n (call $field (i32.const 0) (i32.const 2) (i32.const 0) (i32.const 0)
              (i32.const 0) (i32.const 16)))
            (block $end (loop $next
              (br_if $end (i32.ge_s (local.get $i) (local.get $n)))
              (local.set $v (i32.add (i32.mul (local.get $v) (i32.const 10))
                (i32.sub (i32.load8_u (local.get $i)) (i32.const 48))))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br $next)))
            (local.get $v))
          (func (export "index"))
          (func (export "loop") (loop (br 0)))
          (func (export "trap") (unreachable))
          (func (export "bad") (call $respond (i32.const 199)))
          (func $down (param $n i32)
            (if (local.get $n)
              (then (call $down (i32.sub (local.get $n) (i32.const 1))))))
          (func (export "recurse") (call $down (call $number)))
          (func (export "grow")
            (i32.store (i32.const 0) (memory.grow (call $number)))
            (call $write (i32.const 0) (i32.const 4)))
          (func (export "output") (local $n i32)
            (local.set $n (call $number))
            (loop $next
              (call $write (i32.const 0) (i32.const 65536))
              (br_if $next
                (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
          (func $digits (param $at i32) (param $n i32)
            (i32.store8 (local.get $at)
              (i32.add (i32.const 48) (i32.div_u (local.get $n) (i32.const 10))))
            (i32.store8 offset=1 (local.get $at)
              (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10)))))
          (func $ask (param $at i32) (param $count i32) (result i32)
            (call $fetch (local.get $at) (local.get $count) (i32.const 0) (i32.const 0)
              (i32.const 200) (i32.const 19) (i32.const 0) (i32.const 0)))
          (func (export "nest") (local $n i32)
            (local.set $n (call $number))
            (if (local.get $n) (then
              (local.set $n (i32.sub (local.get $n) (i32.const 1)))
              (call $digits (i32.const 106) (local.get $n))
              (call $digits (i32.const 211) (local.get $n))
              (call $respond (call $status (call $ask (i32.const 100) (i32.const 8)))))))
          (func (export "pile") (local $n i32) (local $k i32)
            (local.set $n (call $number))
            (local.set $k (i32.const 8))
            (loop $next
              (call $write (i32.const 0) (i32.const 65536))
              (br_if $next (local.tee $k (i32.sub (local.get $k) (i32.const 1)))))
            (if (local.get $n) (then
              (local.set $n (i32.sub (local.get $n) (i32.const 1)))
              (call $digits (i32.const 306) (local.get $n))
              (call $digits (i32.const 211) (local.get $n))
              (call $respond (call $status (call $ask (i32.const 300) (i32.const 8)))))))
          (func (export "child")
            (i32.store (i32.const 0) (call $status (call $ask (i32.const 108) (i32.const 5))))
            (call $write (i32.const 0) (i32.const 4)))
          (func (export "children") (local $n i32)
            (local.set $n (call $number))
            (loop $next
              (drop (call $ask (i32.const 113) (i32.const 6)))
              (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
        """)

    /// A program for WASI that opens `a.txt` in its directory and answers with its first bytes.
    public static let reader = """
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
    public static func assemble(_ text: String) throws -> [UInt8] {
        let place = FileManager.default.temporaryDirectory.appending(path: "weft-text-\(UUID())")
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: place) }
        try Data(text.utf8).write(to: place.appending(path: "module.wat"))
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "timeout", "600", "wat2wasm", "--debug-names", "module.wat", "-o", "module.wasm",
        ]
        process.currentDirectoryURL = place
        process.standardInput = FileHandle.nullDevice
        let errors = Pipe()
        process.standardError = errors
        try process.run()
        let said = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Malformed(description: String(decoding: said, as: UTF8.self))
        }
        return try [UInt8](Data(contentsOf: place.appending(path: "module.wasm")))
    }

    /// What the assembler says of a text that is none.
    public struct Malformed: Error, CustomStringConvertible {
        public let description: String
    }
}
