// The directory that holds all of a node: where it is, what is in it, and who may use it.
//
//     config.toml   what the node was told        version   the layout of this directory
//     keys/         private keys, one a file       lock      held and named by the open process
//     store/        blocks and pins                api.sock  the local API of a running node
//     ipns/         records of published names    servers   whom to join the network by
//     compiled/     contracts as machine code      calls      known results of calls
//     announced.sqlite, sweeps   what is announced to the DHTs, and how far that is

import Glibc

/// A repository that this process has opened; no other process can until it lets go.
public final class Repository: Sendable {
    /// The layout that this version writes. A repository of a higher number is refused.
    public static let version = 1

    /// The absolute path of the directory.
    public let directory: String
    private let lock: RepositoryLock

    /// The file of the configuration.
    public var configurationFile: String { directory + "/config.toml" }
    /// The directory of private keys.
    public var keysDirectory: String { directory + "/keys" }
    /// The directory of blocks and pins.
    public var storeDirectory: String { directory + "/store" }
    /// The directory of published records.
    public var namesDirectory: String { directory + "/ipns" }
    /// The directory of contracts as machine code.
    var compiledDirectory: String { directory + "/compiled" }
    /// The directory of proofs that peers lied.
    var evidenceDirectory: String { directory + "/evidence" }
    /// The directory of what peers and this node owe each other.
    var creditDirectory: String { directory + "/credit" }
    /// The file of known results of calls.
    var callsFile: String { directory + "/calls" }
    /// The file of what peers have answered to calls.
    var answersFile: String { directory + "/answers" }
    /// The file of the contracts that this node has run and told the DHTs of.
    var contractsFile: String { directory + "/contracts" }
    /// The file of the keys that are announced to the DHTs.
    var announcedKeysFile: String { directory + "/announced.sqlite" }
    /// The file of where the walks are that announce them.
    var sweepsFile: String { directory + "/sweeps" }
    /// The file of the DHT's servers that were known last.
    var serversFile: String { directory + "/servers" }
    /// The file of the certificate that is shown to browsers, with its private key.
    var certificateFile: String { directory + "/webrtc.pem" }
    /// The socket of the local API.
    public var socket: String { Self.socket(in: directory) }

    /// Where the local API of the repository in `directory` listens while a node runs.
    public static func socket(in directory: String) -> String {
        directory + "/api.sock"
    }

    /// Opens the repository in `path`, making a new one where there is none.
    ///
    /// - Throws: ``RepositoryError`` when another process has it or a newer version wrote it;
    ///   ``SystemError`` when the system refuses.
    public init(at path: String) throws {
        try Files.createDirectory(path)
        let directory = try Files.resolved(path)
        self.directory = directory
        self.lock = try RepositoryLock(in: directory)
        try Self.checkVersion(in: directory)
        try Files.createDirectory(directory + "/keys")
        try Files.createDirectory(directory + "/store")
        try Files.createDirectory(directory + "/ipns")
    }

    /// Lets others open the repository. Nothing may use it afterwards.
    func close() {
        lock.release()
    }

    /// Which repository is meant: the one named, else that of `WEFT_HOME`, else `weft` in the
    /// user's data directory (the XDG base directory specification).
    public static func locate(_ named: String? = nil) throws(RepositoryError) -> String {
        if let named, !named.isEmpty { return named }
        if let home = environment("WEFT_HOME") { return home }
        // The specification says that a relative path here is to be ignored.
        if let data = environment("XDG_DATA_HOME"), data.hasPrefix("/") { return data + "/weft" }
        if let home = environment("HOME") { return home + "/.local/share/weft" }
        throw .noHome
    }

    /// The process that has the repository in `directory` open; nil if none has.
    public static func owner(of directory: String) -> Int32? {
        RepositoryLock.owner(in: directory)
    }

    private static func environment(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    private static func checkVersion(in directory: String) throws {
        let path = directory + "/version"
        guard let bytes = try SmallFile.read(path, limit: 64) else {
            // A directory full of other things is not taken over.
            let known: Set = ["lock", "config.toml", "config.toml.new", "version.new"]
            if let foreign = try Files.names(in: directory).first(where: { !known.contains($0) }) {
                throw RepositoryError.notARepository(directory, foreign: foreign)
            }
            try SmallFile.replace(path, with: Array("\(version)\n".utf8))
            return
        }
        let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
        guard let found = Int(text), found > 0 else {
            throw RepositoryError.badVersion(directory, found: text)
        }
        guard found <= version else {
            throw RepositoryError.newer(directory, found: found, known: version)
        }
    }
}

/// Why a repository could not be opened.
public enum RepositoryError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Neither a name nor a home directory is known.
    case noHome
    /// Another process has it open.
    case inUse(String, process: Int32?)
    /// A newer version of this program wrote it.
    case newer(String, found: Int, known: Int)
    /// Its version file says something else than a number.
    case badVersion(String, found: String)
    /// The directory holds something else.
    case notARepository(String, foreign: String)

    public var description: String {
        switch self {
        case .noHome:
            "no repository is named and HOME is not set; use --repo or WEFT_HOME"
        case .inUse(let path, let process?):
            "the repository \(path) is in use by process \(process); stop it, or let it do the work"
        case .inUse(let path, nil):
            "the repository \(path) is in use by another process"
        case .newer(let path, let found, let known):
            """
            the repository \(path) has layout \(found), but this version knows layouts up to \
            \(known); use a newer weft
            """
        case .badVersion(let path, let found):
            "the file \(path)/version says '\(found)', which is no layout number"
        case .notARepository(let path, let foreign):
            "\(path) is not a repository and not empty (it holds '\(foreign)'); name another one"
        }
    }
}
