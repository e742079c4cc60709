// A node that lies about calls: it runs each as any node does, and signs another answer. There is
// no switch for that in the product, so it runs in the tests' own process.

import Compute
import Foundation
import Multiformats
import NodeCore
import Testing

@testable import LyingWorker
@testable import Weft

/// A node whose answers to peers are wrong, and which is honest else.
final class LyingNode {
    private let node: Node
    /// Where it listens, with its name.
    let address: String
    /// Its name.
    var peer: String { "\(node.peer)" }

    /// Starts one in a folder; it contacts nobody by itself.
    init(at directory: String, listening: String = "/ip4/127.0.0.1/tcp/0") async throws {
        var configuration = Configuration()
        configuration.routing.delegated = []
        configuration.mesh.mdns = .off
        configuration.mesh.portMapping = .off
        node = try await Node.start(at: directory, configuration: configuration)
        let place = try Multiaddr(text: listening)
        _ = try await node.mesh.listen(on: [place])
        address = "\(try #require(node.mesh.addresses.first))"
        node.mesh.serveCalls(by: LyingWorker(node.computation))
    }

    func stop() async { await node.stop() }
}
