// Why a file or folder could not be added.

public import IPLD

/// Why a file or folder could not be added. Nothing of it is kept then.
public enum ImportError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file changed between the first and the last look at it.
    case changed(String)
    /// It is neither a file, a folder nor a symbolic link.
    case special(String, kind: String)
    /// A name in this folder cannot be a name in a DAG that others can read.
    case badName(folder: String, name: String)
    /// Folders lie deeper in each other than readers follow.
    case tooDeep(String, limit: Int)
    /// A name that no directory of a DAG can hold.
    case nameRefused(String, reason: NameError)
    /// References to files need leaves that are the file's own bytes.
    case referencesNeedRawLeaves
    /// Only files that have a path can be referenced.
    case cannotReference(String)
    /// There was nothing to add.
    case nothing

    public var description: String {
        switch self {
        case .changed(let path):
            "'\(path)' changed while it was being read; add it again when it is at rest"
        case .special(let path, let kind):
            "'\(path)' is a \(kind); only files, folders and symbolic links can be added"
        case .badName(let folder, let name):
            "'\(folder)' holds the name '\(name)', which is not valid UTF-8; rename it"
        case .tooDeep(let path, let limit):
            "'\(path)' lies more than \(limit) folders deep"
        case .nameRefused(let path, let reason):
            "cannot add '\(path)': \(reason)"
        case .referencesNeedRawLeaves:
            "--nocopy needs a profile with raw leaves, such as unixfs-v1-2025"
        case .cannotReference(let name):
            "'\(name)' has no path on this machine that could be referenced"
        case .nothing:
            "there is nothing to add"
        }
    }
}
