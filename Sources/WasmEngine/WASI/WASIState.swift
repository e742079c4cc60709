// What a program for WASI preview 1 sees under the CGI convention (RFC 3875): arguments,
// environment, standard streams, and a read-only directory.

import NIOCore
import Wire

/// The world of one program for WASI.
final class WASIState {
    /// What a descriptor stands for.
    enum Descriptor {
        case input
        case output
        case diagnostics
        case file(any ContentFile)
        case directory([String])
    }

    /// A descriptor with the place of the next read.
    struct Open {
        var descriptor: Descriptor
        var offset: Int64 = 0
        /// Whether it is the directory that was there from the start.
        var isPreopened = false
    }

    /// The most descriptors that are open at a time.
    static let maxDescriptors = 256
    /// How many bytes of standard error are kept.
    static let maxDiagnostics = 64 << 10

    let arguments: [String]
    let environment: [String]
    private let directory: (any ContentDirectory)?
    private var open: [Int32: Open]
    var diagnostics = ByteBuffer()

    /// What a program sees of its request. Other contracts than programs see nothing by it.
    init(_ request: ContractRequest, isProgram: Bool) {
        guard isProgram else {
            (arguments, environment, directory, open) = ([], [], nil, [:])
            return
        }
        arguments = ["contract"] + request.path.namesInPath
        environment = Self.environment(of: request)
        directory = request.directory
        open = [
            0: Open(descriptor: .input), 1: Open(descriptor: .output),
            2: Open(descriptor: .diagnostics),
        ]
        if directory != nil { open[3] = Open(descriptor: .directory([]), isPreopened: true) }
    }

    private static func environment(of request: ContractRequest) -> [String] {
        var lines = [
            "REQUEST_METHOD=\(request.verb)", "PATH_INFO=\(request.path)",
            "QUERY_STRING=\(request.query)",
        ]
        if let type = request.headers.first(where: { $0.name == "content-type" }) {
            lines.append("CONTENT_TYPE=\(type.value)")
        }
        if request.body.size > 0 { lines.append("CONTENT_LENGTH=\(request.body.size)") }
        for header in request.headers where header.name != "content-type" {
            let name = header.name.uppercased().replacing("-", with: "_")
            lines.append("HTTP_\(name)=\(header.value)")
        }
        return lines
    }

    subscript(descriptor: Int32) -> Open? {
        get { open[descriptor] }
        set { open[descriptor] = newValue }
    }

    /// The lowest descriptor that is free; nil if too many are open.
    var freeDescriptor: Int32? {
        guard open.count < Self.maxDescriptors else { return nil }
        return (3...).first { open[$0] == nil }
    }

    /// The names that a path below an open directory leads through, from the root on.
    func way(_ path: String, below descriptor: Int32) -> Way {
        guard let found = self[descriptor] else { return .error(.badDescriptor) }
        guard case .directory(let base) = found.descriptor else { return .error(.notDirectory) }
        guard !path.isEmpty else { return .error(.noEntry) }
        guard !path.utf8.starts(with: "/".utf8) else { return .error(.notCapable) }
        var parts = base
        for part in path.namesInPath where part != "." {
            if part != ".." {
                parts.append(part)
            } else if parts.popLast() == nil {
                return .error(.notCapable)
            }
        }
        return .names(parts)
    }

    /// What these names lead to, from the root on; nil if there is nothing.
    func entry(_ names: [String]) throws(HostExit) -> ContentEntry? {
        do {
            return try directory?.open(names)
        } catch {
            throw .failed(error)
        }
    }

    /// What is in an open directory.
    func list(_ path: [String]) throws(HostExit) -> [ContentName] {
        do {
            return try directory?.list(path) ?? []
        } catch {
            throw .failed(error)
        }
    }

    /// Where a path leads.
    enum Way {
        case names([String])
        case error(WASIError)
    }
}

/// The error numbers of WASI that are used here.
enum WASIError: Int64 {
    case success = 0
    case badDescriptor = 8
    case invalid = 28
    case isDirectory = 31
    case tooManyOpen = 33
    case noEntry = 44
    case notSupported = 52
    case notDirectory = 54
    case readOnly = 69
    case noSeek = 70
    case notCapable = 76
}
