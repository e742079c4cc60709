// What `add` is told, what it says meanwhile, and what it answers.

public import IPLD
public import Multiformats

/// How files and folders become content.
public struct AddOptions: Sendable {
    /// Where the bytes of files are kept.
    public enum Placement: Sendable, Hashable {
        /// In the store.
        case stored
        /// In the files themselves; the store keeps where. A file that is changed or moved later
        /// makes its content unreadable, which is noticed.
        case referenced
        /// Nowhere: only the CIDs are wanted.
        case nowhere
    }

    /// Whether names that begin with a dot are added when they are found in a folder.
    public enum Hidden: Sendable, Hashable {
        case excluded
        case included
    }

    /// What happens to permissions and times of modification.
    public enum Attributes: Sendable, Hashable {
        /// They are left out, so that equal content has equal CIDs.
        case dropped
        /// They are kept.
        case kept
    }

    /// Whether what is added gets a folder around it.
    public enum Wrapping: Sendable, Hashable {
        case none
        /// One folder that holds everything under its own name.
        case folder
    }

    /// Whether the roots are kept until told otherwise.
    public enum Pinning: Sendable, Hashable {
        /// Recursively, with a name for people; it may be empty.
        case pinned(name: String)
        case unpinned
    }

    /// All the choices that decide the CID.
    public var profile = Profile.v1_2025
    /// Where the bytes of files are kept.
    public var placement = Placement.stored
    /// Whether names that begin with a dot are added when they are found in a folder. The profiles
    /// of IPIP-499 leave them out.
    public var hidden = Hidden.excluded
    /// What happens to permissions and times of modification.
    public var attributes = Attributes.dropped
    /// Whether what is added gets a folder around it.
    public var wrapping = Wrapping.none
    /// Whether the roots are kept until told otherwise.
    public var pinning = Pinning.pinned(name: "")

    /// The default profile; everything is stored and its roots are pinned.
    public init() {}
}

/// A file, folder or link that was added.
public struct AddedEntry: Sendable, Hashable {
    /// Its path, beginning with the name of what was asked to be added.
    public let path: String
    /// The root of its DAG.
    public let cid: CID
    /// How many bytes of content it has; of a folder, all its files.
    public let contentSize: UInt64
    /// How many bytes all its blocks have, counting repeated ones each time.
    public let tsize: UInt64
}

/// What was added in all.
public struct AddResult: Sendable {
    /// One root for each path that was asked for, in that order; one alone with a folder around.
    public let roots: [AddedEntry]
    /// How much was read.
    public let total: AddProgress
}

/// How far adding has come.
public struct AddProgress: Sendable, Hashable {
    /// Files that are complete.
    public var files: UInt64 = 0
    /// Bytes of content that were read.
    public var bytes: UInt64 = 0
}

/// Who is told while files are added. Both are called from the threads that do the work, so they
/// have to be quick.
public struct AddObserver: Sendable {
    /// Called a few times a second.
    public var progress: (@Sendable (AddProgress) -> Void)?
    /// Called for every file, folder and link, a folder after all it holds; those of one folder
    /// are in order, but folders come as they are completed.
    public var added: (@Sendable (AddedEntry) -> Void)?

    /// Nobody is told anything that is not given here.
    public init(
        progress: (@Sendable (AddProgress) -> Void)? = nil,
        added: (@Sendable (AddedEntry) -> Void)? = nil
    ) {
        self.progress = progress
        self.added = added
    }
}
