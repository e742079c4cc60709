// The repository directory: made privately, opened once, refused when it is somebody else's.

import Foundation
import Testing

@testable import Weft

/// A directory that is gone with the value.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/weft-test-" + UUID().uuidString
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        // A directory that stays behind harms no test.
        try? FileManager.default.removeItem(atPath: path)
    }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        let file = path + "/" + name
        let folder = (file as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: file))
    }

    func mode(_ name: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path + "/" + name)
        return try #require((attributes[.posixPermissions] as? NSNumber)?.intValue)
    }
}

@Suite struct RepositoryTests {
    @Test("A new repository is private and complete")
    func new() throws {
        let base = try TemporaryDirectory()
        let repository = try Repository(at: base.path + "/a/b/weft")
        #expect(try base.mode("a/b/weft") == 0o700)
        #expect(try base.mode("a/b/weft/keys") == 0o700)
        #expect(try base.mode("a/b/weft/lock") == 0o600)
        #expect(repository.directory.hasSuffix("/a/b/weft"))
        #expect(Repository.owner(of: repository.directory) == getpid())
    }

    @Test("A second opening names the process that has it; letting go frees it")
    func twice() throws {
        let base = try TemporaryDirectory()
        do {
            let first = try Repository(at: base.path)
            #expect(throws: RepositoryError.inUse(first.directory, process: getpid())) {
                try Repository(at: base.path)
            }
            withExtendedLifetime(first) {}
        }
        #expect(Repository.owner(of: base.path) == nil)
        _ = try Repository(at: base.path)
    }

    @Test("A newer layout, rubbish in its place, and foreign directories are refused")
    func versions() throws {
        let base = try TemporaryDirectory()
        let path = try Repository(at: base.path).directory
        try base.write("version", Array("99\n".utf8))
        #expect(throws: RepositoryError.newer(path, found: 99, known: Repository.version)) {
            try Repository(at: path)
        }
        try base.write("version", Array("x".utf8))
        #expect(throws: RepositoryError.badVersion(path, found: "x")) { try Repository(at: path) }
        let other = try TemporaryDirectory()
        try other.write("photo.jpg", [1])
        #expect(throws: RepositoryError.notARepository(other.path, foreign: "photo.jpg")) {
            try Repository(at: other.path)
        }
    }

    @Test("The configuration file is written once, privately, and then left alone")
    func configurationFile() throws {
        let base = try TemporaryDirectory()
        let path = base.path + "/config.toml"
        var file = try ConfigurationFile.open(path)
        #expect(try base.mode("config.toml") == 0o600)
        try file.set("storage.max", to: "1GiB")
        try file.write(to: path)
        #expect(try ConfigurationFile.open(path) == file)
        try base.write("config.toml", [0xff, 0xfe])
        #expect(throws: ConfigurationError.self) { try ConfigurationFile.open(path) }
    }
}
