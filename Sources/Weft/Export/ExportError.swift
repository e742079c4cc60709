// Why content could not be written to disk.

/// Why content could not be written to disk.
public enum ExportError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Something of this name is there already.
    case exists(String)
    /// A directory of the DAG holds a name that could lead elsewhere or that no file can have.
    case badName(folder: String, name: String)
    /// A symbolic link whose target no file system takes.
    case badLink(String)
    /// Something else, perhaps a link, is where a folder should be.
    case notAFolder(String)
    /// Folders lie deeper in each other than is written.
    case tooDeep(String, limit: Int)

    public var description: String {
        switch self {
        case .exists(let path): "'\(path)' exists; remove it, or ask for it to be replaced"
        case .badName(let folder, let name):
            "the content has the name '\(name)' for a file in '\(folder)', which is refused"
        case .badLink(let path): "the content has a link at '\(path)' that leads nowhere"
        case .notAFolder(let path):
            "'\(path)' should be a folder and is not; links are not followed"
        case .tooDeep(let path, let limit): "'\(path)' lies more than \(limit) folders deep"
        }
    }
}
