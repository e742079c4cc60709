// The private keys of a repository, one a file, readable by their owner alone. The file's name is
// the key's; its content is the key's protobuf (github.com/libp2p/specs, peer-ids), as in Kubo.

import Glibc
public import Multiformats
import Synchronization
import Wire

/// A key and the name it is kept under.
public struct NamedKey: Sendable, Hashable {
    /// The name it is kept under.
    public let name: String
    /// What others know it by.
    public let peer: PeerID
}

/// The private keys of a repository.
public final class KeyRing: Sendable {
    /// The name of the key that identifies the node; it cannot be removed or replaced.
    public static let selfName = "self"
    /// The longest name of a key, in bytes.
    public static let maxNameLength = 200

    private let directory: String
    /// Held while files are changed, so that two calls cannot take the same name.
    private let changing = Mutex(())

    init(_ directory: String) { self.directory = directory }

    /// The key that identifies the node; made when there is none.
    func identity() throws -> PrivateKey {
        try changing.withLock { _ in
            if let key = try read(Self.selfName) { return key }
            let key = PrivateKey.generateEd25519()
            try write(key, Self.selfName)
            return key
        }
    }

    /// Makes a new Ed25519 key.
    public func generate(_ name: String) throws -> NamedKey {
        try add(PrivateKey.generateEd25519(), as: name)
    }

    /// Takes a key from elsewhere.
    public func add(_ key: PrivateKey, as name: String) throws -> NamedKey {
        try Self.check(name)
        return try changing.withLock { _ in
            guard try read(name) == nil else { throw KeyError.exists(name) }
            try write(key, name)
            return NamedKey(name: name, peer: PeerID(key.publicKey))
        }
    }

    /// All keys, ordered by name.
    public func list() throws -> [NamedKey] {
        let suffix = ".key"
        let names = try Files.names(in: directory).filter { $0.hasSuffix(suffix) }
        return try names.map { String($0.dropLast(suffix.count)) }.sorted().compactMap { name in
            // One that was removed since it was listed is left out.
            try read(name).map { NamedKey(name: name, peer: PeerID($0.publicKey)) }
        }
    }

    /// The key of this name, or of this peer id in any of its text forms.
    public func key(_ nameOrPeer: String) throws -> PrivateKey {
        if (try? Self.check(nameOrPeer)) != nil, let key = try read(nameOrPeer) { return key }
        // Text that is no peer id is simply a name that is not there.
        if let peer = try? PeerID(text: nameOrPeer),
            let found = try list().first(where: { $0.peer == peer }),
            let key = try read(found.name)
        {
            return key
        }
        throw KeyError.unknown(nameOrPeer)
    }

    /// Forgets a key for good.
    public func remove(_ name: String) throws {
        try Self.check(name)
        guard name != Self.selfName else { throw KeyError.isIdentity }
        guard unlink(path(name)) == 0 else {
            if errno == ENOENT { throw KeyError.unknown(name) }
            throw SystemError("remove", path(name), code: errno)
        }
    }

    private func path(_ name: String) -> String { "\(directory)/\(name).key" }

    private func read(_ name: String) throws -> PrivateKey? {
        guard let bytes = try SmallFile.read(path(name), limit: 2 * PrivateKey.maxLength) else {
            return nil
        }
        do {
            return try PrivateKey(decoding: bytes.span.bytes)
        } catch {
            throw KeyError.damaged(path(name), error.description)
        }
    }

    private func write(_ key: PrivateKey, _ name: String) throws {
        try SmallFile.replace(path(name), with: key.encoded)
    }

    /// Names are file names, so what could lead elsewhere is refused.
    private static func check(_ name: String) throws(KeyError) {
        let isPlain = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard isPlain, !name.isEmpty, !name.hasPrefix("."), name.utf8.count <= maxNameLength else {
            throw .badName(name)
        }
    }
}

/// Why a key could not be used.
public enum KeyError: Error, Sendable, Equatable, CustomStringConvertible {
    /// There is no key of this name or peer id.
    case unknown(String)
    /// There is one of this name already.
    case exists(String)
    /// The name could not be the name of a file, or is reserved.
    case badName(String)
    /// The node's own key cannot be removed.
    case isIdentity
    /// The file does not hold a key.
    case damaged(String, String)
    /// What was given is no key in any form that is known.
    case unreadable(String)
    /// This kind of key has no such form.
    case noSuchForm(String)

    public var description: String {
        switch self {
        case .unknown(let name): "there is no key '\(name)'; 'weft key list' shows all"
        case .exists(let name): "there is a key '\(name)' already; choose another name"
        case .badName(let name):
            "'\(name)' cannot be a key's name: use letters, digits, '-', '_' and '.'"
        case .isIdentity: "the key 'self' identifies this node and stays"
        case .damaged(let path, let reason): "\(path) holds no readable key: \(reason)"
        case .unreadable(let reason): "this is no private key: \(reason)"
        case .noSuchForm(let kind): "a \(kind) key cannot be written as PEM here"
        }
    }
}
