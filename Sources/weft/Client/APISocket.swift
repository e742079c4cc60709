// Finds out whether a node listens on the socket of a repository.

import Glibc
import NIOCore
import Weft

/// The socket of a running node.
enum APISocket {
    /// `O_PATH` of Linux, open(2), which the C module does not show.
    private static let pathOnly: Int32 = 0o10000000

    /// The path to connect to, if a node listens there.
    static func reachable(in directory: String) -> String? {
        let path = usable(Repository.socket(in: directory))
        // A path that cannot be a socket's has no node behind it.
        guard let address = try? SocketAddress(unixDomainSocketPath: path) else { return nil }
        // Without waiting: a node that hangs takes so many connections and no more.
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let result = address.withSockAddr { pointer, size in
            connect(descriptor, pointer, socklen_t(size))
        }
        return result == 0 || errno == EAGAIN ? path : nil
    }

    /// The same socket under a name that is short enough for a socket address, which ends at 107
    /// bytes: long directories are opened and named by their descriptor. It stays open until the
    /// program ends.
    static func usable(_ path: String) -> String {
        guard path.utf8.count > 100, let slash = path.lastIndex(of: "/") else { return path }
        let descriptor = open(String(path[..<slash]), pathOnly | O_DIRECTORY | O_CLOEXEC)
        return descriptor < 0 ? path : "/proc/self/fd/\(descriptor)\(path[slash...])"
    }
}
