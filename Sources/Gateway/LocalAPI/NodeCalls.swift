// The calls about the node itself: id, version, repo, config.

import BlockStore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import Multiformats
import NIOCore
import Weft

extension LocalServices {
    func addHealthRoutes(to router: Router<LocalContext>) {
        router.get("/healthz") { _, _ in
            ServerResponse(
                status: .ok, headers: [.contentType: "text/plain"],
                body: ServerBody(byteBuffer: ByteBuffer(string: "ok\n")))
        }
        router.get("/metrics") { _, _ in metricsAnswer }
    }

    func addNodeRoutes(to router: Router<LocalContext>) {
        router.call("/api/v0/version") { _ in
            APIAnswer.json([
                "Version": .string(WeftVersion.current), "Commit": .string(""),
                "Repo": .string(String(Repository.version)), "System": .string("linux"),
                "Golang": .string(""),
            ])
        }
    }

    func addOwnRoutes(to router: Router<LocalContext>) {
        router.call("/weft/v1/stop") { _ in
            guard let stop else { throw APIError.badArgument("no node is running") }
            stop()
            return APIAnswer.json(["stopping": .bool(true)])
        }
    }

    private var metricsAnswer: ServerResponse {
        let text = metrics.exposition(gauges: [])
        return ServerResponse(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4"],
            body: ServerBody(byteBuffer: ByteBuffer(string: text)))
    }
}
