public import Multiformats
public import Wire

/// Why a reader of a DAG cannot go on, and at which block.
///
/// A reader that has thrown stays where it was; its next step is the block at fault again.
public struct DAGError: Error, Hashable, Sendable {
    /// What is wrong.
    public enum Fault: Hashable, Sendable {
        /// The block breaks its format, lies about what is below it, passes a limit, or uses what
        /// is not supported here.
        case invalid(DecodeError)
        /// The block is well formed, but no part of a file. Nil: it is not UnixFS.
        case notAFile(UnixFSNode.Kind?)
        /// The block is well formed, but no directory. Nil: it is not UnixFS.
        case notADirectory(UnixFSNode.Kind?)
        /// The block has nothing under the path's segment of this index.
        case notFound(segment: Int)
        /// The path leads through a symbolic link; links are reported, never followed.
        case symlink(target: [UInt8], segment: Int)
    }

    /// The block at fault.
    public let cid: CID
    /// What is wrong with it.
    public let fault: Fault

    /// Creates an error.
    public init(_ cid: CID, _ fault: Fault) {
        self.cid = cid
        self.fault = fault
    }

    init(_ cid: CID, _ kind: DecodeError.Kind, _ reason: StaticString) {
        self.init(cid, .invalid(DecodeError(kind, reason)))
    }
}

extension DAGError: CustomStringConvertible {
    public var description: String {
        switch fault {
        case .invalid(let error): "the block is invalid: \(error)"
        case .notAFile(.directory), .notAFile(.hamtShard): "this is a directory, not a file"
        case .notAFile(.symlink): "this is a symbolic link, not a file"
        case .notAFile: "this is not a file"
        case .notADirectory(.file), .notADirectory(.raw): "this is a file, not a directory"
        case .notADirectory(.symlink): "this is a symbolic link, not a directory"
        case .notADirectory: "this is not a directory"
        case .notFound(let segment): "segment \(segment + 1) of the path does not exist"
        case .symlink(_, let segment):
            "segment \(segment + 1) of the path is below a symbolic link, which is not followed"
        }
    }
}

/// Ceilings on what a reader keeps of remote blocks.
public enum DAGLimits {
    /// How many links may lie between the root of a file and a leaf.
    public static let maxFileDepth = 128
    /// How many links may lie between the root of a DAG and any block of it.
    public static let maxDepth = 1024
    /// How many links a reader keeps in mind while it follows others.
    public static let maxPendingLinks = 1 << 18
}
