// A node inside this process, for a command that found none running.

import Gateway
import Logging
import Weft

/// A node and its local API, without any socket.
struct LocalNode: Sendable {
    private let node: Node
    let api: LocalAPI

    /// Opens the repository in a directory.
    static func open(_ directory: String) async throws -> LocalNode {
        let node = try await Node.start(at: directory)
        node.joinWhenNeeded()
        return LocalNode(node: node, api: LocalAPI(node, metrics: Metrics(), logger: Log.quiet))
    }

    /// Closes the repository.
    func stop() async { await node.stop() }
}
