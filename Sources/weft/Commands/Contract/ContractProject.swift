// A contract's folder: sources, cases, and what is built of them.

import ContractKit
import Glibc
import Weft

/// The folder of a contract.
struct ContractProject: Sendable {
    /// Its path from the root.
    let folder: String

    /// The folder at a path.
    init(_ path: String) throws {
        guard WholeFile.kind(of: path) == .folder else {
            throw CommandFailure("'\(path)' is no folder; 'weft contract new NAME' makes one")
        }
        guard let resolved = realpath(path, nil) else {
            throw CommandFailure("cannot find '\(path)': \(String(cString: strerror(errno)))")
        }
        defer { free(resolved) }
        folder = String(cString: resolved)
    }

    /// The contract's name, which is that of the folder.
    var name: String { folder.split(separator: "/").last.map(String.init) ?? "contract" }

    /// Where the module goes.
    var moduleFile: String { "\(folder)/.build/\(name).wasm" }

    /// Compiles the sources, and checks the module that comes of them.
    func build() async throws -> ContractModule {
        if WholeFile.kind(of: "\(folder)/Cargo.toml") == .file {
            try await buildRust()
        } else {
            try await compile()
        }
        return try ContractModule(file: moduleFile)
    }

    /// Lays out what compilers, editors and the second engine use.
    static func writeKit(_ kit: String) throws {
        for file in ContractKit.files {
            try WholeFile.write(
                file.bytes, "\(kit)/\(file.path)", mode: file.isExecutable ? 0o777 : 0o666)
        }
    }

    private func compile() async throws {
        let kit = "\(folder)/.build/kit"
        try Self.writeKit(kit)
        let log = "\(folder)/.build/errors.txt"
        let code = try await ChildProgram(
            words: ["bash", "\(kit)/compile", moduleFile, folder], errors: log
        ).run()
        guard code == 0 else {
            throw try failure(log, "bash is missing")
        }
    }

    /// The targets that Rust compiles contracts for, the better one first. Debian's Rust has the
    /// second.
    private static let rustTargets = ["wasm32v1-none", "wasm32-unknown-unknown"]

    /// The first of the targets whose libraries are installed.
    private func rustTarget() async throws -> String? {
        let answer = "\(folder)/.build/rust.txt"
        for target in Self.rustTargets {
            // It is said of installed targets and others where their libraries would be.
            let words = ["rustc", "--print", "target-libdir", "--target", target]
            let code = try await ChildProgram(
                words: words, folder: folder, output: answer, errors: "/dev/null"
            ).run()
            guard code == 0, let place = try Self.lines(of: answer).first else { continue }
            if WholeFile.kind(of: place) == .folder { return target }
        }
        return nil
    }

    private func buildRust() async throws {
        guard ChildProgram.exists("cargo"), ChildProgram.exists("rustc") else {
            throw CommandFailure(
                "cargo is missing: install Rust from rust-lang.org, then run"
                    + " 'rustup target add wasm32v1-none'; or Debian's packages cargo,"
                    + " libstd-rust-dev-wasm32 and lld-14")
        }
        let log = "\(folder)/.build/errors.txt"
        try WholeFile.createFolder("\(folder)/.build")
        guard let target = try await rustTarget() else {
            throw CommandFailure(
                "cannot build \(name): Rust has no target for WebAssembly; run"
                    + " 'rustup target add wasm32v1-none', or install Debian's package"
                    + " libstd-rust-dev-wasm32")
        }
        let words = [
            "cargo", "build", "--release", "--target", target, "--target-dir", ".build/rust",
            // Each page costs gas at every call, and a stack of 1 MiB is 16 of them.
            "--config", "target.\(target).rustflags=['-Clink-arg=-zstack-size=131072']",
        ]
        let code = try await ChildProgram(words: words, folder: folder, errors: log).run()
        guard code == 0 else {
            throw try failure(log, "cargo failed")
        }
        let products = "\(folder)/.build/rust/\(target)/release"
        guard
            let product = try WholeFile.names(in: products).first(where: { $0.hasSuffix(".wasm") })
        else {
            throw CommandFailure("cargo made no .wasm file; Cargo.toml needs crate-type cdylib")
        }
        try WholeFile.write(
            WholeFile.read("\(products)/\(product)", limit: 64 << 20), moduleFile)
    }

    private static func lines(of log: String) throws -> [String] {
        guard WholeFile.kind(of: log) == .file else { return [] }
        return String(decoding: try WholeFile.read(log, limit: 16 << 20), as: UTF8.self)
            .split(separator: "\n").prefix(60).map(String.init)
    }

    /// Why it cannot be built: the line of a compiler's messages that says the most, and all of
    /// them if there are more.
    private func failure(_ log: String, _ otherwise: String) throws -> CommandFailure {
        let lines = try Self.lines(of: log)
        let reason = lines.first { $0.contains("error:") } ?? lines.last ?? otherwise
        return CommandFailure(
            "cannot build \(name): \(reason)", trace: lines.count > 1 ? lines : [])
    }
}
