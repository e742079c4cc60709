public import Multiformats

/// One entry of a directory.
public struct DirectoryEntry: Hashable, Sendable {
    /// The name as bytes: UTF-8 by convention, but directories with other names exist.
    public let name: [UInt8]
    /// The root of what the name stands for.
    public let cid: CID
    /// How many bytes that DAG has in all, as the directory's maker said; a hint.
    public let tsize: UInt64?

    /// Creates an entry.
    public init(name: [UInt8], cid: CID, tsize: UInt64?) {
        self.name = name
        self.cid = cid
        self.tsize = tsize
    }

    /// The name as text, with U+FFFD in place of what is not UTF-8.
    public var text: String { String(decoding: name, as: UTF8.self) }
}

/// Why a name cannot stand in a directory.
public enum NameError: Error, Hashable, Sendable {
    /// Nothing can be reached under an empty name.
    case empty
    /// `.` and `..` mean other directories.
    case dots
    /// A slash separates names; a file system takes no NUL in one.
    case slashOrNUL
    /// Longer than ``DirectoryBuilder/maxNameLength``.
    case tooLong
    /// The directory has this name already.
    case duplicate
    /// Another name of this directory has the same hash, so no shard can tell them apart.
    case collision
}

extension NameError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .empty: "a name in a directory must not be empty"
        case .dots: "'.' and '..' cannot be names in a directory"
        case .slashOrNUL: "a name in a directory must not contain '/' or NUL"
        case .tooLong: "a name in a directory has at most \(DirectoryBuilder.maxNameLength) bytes"
        case .duplicate: "the directory has this name already"
        case .collision: "two names of the directory have the same hash; rename one of them"
        }
    }
}

extension NameError {
    /// What is wrong with a name whatever else the directory holds; nil if nothing is.
    init?(checking name: [UInt8]) {
        let dot = UInt8(ascii: ".")
        if name.isEmpty {
            self = .empty
        } else if name == [dot] || name == [dot, dot] {
            self = .dots
        } else if name.contains(where: { $0 == 0 || $0 == UInt8(ascii: "/") }) {
            self = .slashOrNUL
        } else if name.count > DirectoryBuilder.maxNameLength {
            self = .tooLong
        } else {
            return nil
        }
    }
}
