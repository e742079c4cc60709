// The calls about the node itself: id, version, config, health, metrics, status and stop.

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
        router.get("/metrics") { _, _ in
            ServerResponse(
                status: .ok, headers: [.contentType: Metrics.mediaType],
                body: ServerBody(byteBuffer: ByteBuffer(string: metrics.exposition(of: node))))
        }
    }

    func addNodeRoutes(to router: Router<LocalContext>) {
        router.call("/api/v0/version") { _ in
            APIAnswer.json([
                "Version": .string(WeftVersion.current), "Commit": .string(""),
                "Repo": .string(String(Repository.version)), "System": .string("linux"),
                "Golang": .string(""),
            ])
        }
        router.call("/api/v0/id") { call in
            if let other = call.all.first, other != node.peer.description,
                other != node.peer.ipnsName
            {
                throw APIError.badArgument("other peers cannot be asked yet")
            }
            return APIAnswer.json([
                "ID": .string(node.peer.description),
                "PublicKey": .string(publicKey),
                "Addresses": .list(node.mesh.addresses.map { .string($0.description) }),
                "AgentVersion": .string(WeftVersion.agent),
                "Protocols": .list(node.mesh.protocols.map { .string($0.description) }),
            ])
        }
        router.call("/api/v0/config") { call in
            let arguments = try call.atLeastOne("key")
            // Changing how the node works is for its owner alone.
            guard arguments.count == 1 else {
                throw APIError(
                    "this API does not change the configuration; use 'weft config set'",
                    code: .forbidden, status: .forbidden)
            }
            let file = try ConfigurationFile.open(node.repository.configurationFile)
            return APIAnswer.json([
                "Key": .string(arguments[0]),
                "Value": try file.value(of: arguments[0]).json,
            ])
        }
        router.call("/api/v0/config/show") { _ in
            APIAnswer.json(
                try ConfigurationFile.open(node.repository.configurationFile).json)
        }
    }

    func addOwnRoutes(to router: Router<LocalContext>) {
        router.call("/weft/v1/status") { _ in
            APIAnswer.json([
                "peer": .string(node.peer.description), "publicKey": .string(publicKey),
                "agent": .string(WeftVersion.agent),
                "addresses": .list(node.mesh.addresses.map { .string($0.description) }),
                "repository": .string(node.repository.directory),
                "running": .bool(stop != nil),
                "gateway": addresses.gateway.map { .string($0) },
                "pages": addresses.pages.map { .string($0) },
                "api": addresses.api.map { .string($0) },
            ])
        }
        router.call("/weft/v1/config") { call in try await configure(call) }
        router.call("/weft/v1/stop") { _ in
            guard let stop else { throw APIError.badArgument("no node is running") }
            stop()
            return APIAnswer.json(["stopping": .bool(true)])
        }
    }

    /// Shows all keys, or shows or changes one. What a running node can take, it takes at once.
    private func configure(_ call: APIRequest) async throws -> ServerResponse {
        let path = node.repository.configurationFile
        var file = try ConfigurationFile.open(path)
        guard let key = call["key"] else { return APIAnswer.json(file.json) }
        var restart: Value?
        if let value = call.all("value").last {
            file = try await settings.set(key, to: value, in: path)
            if stop != nil {
                let isLive = try ConfigurationKey.named(key).isLive
                restart = .bool(!isLive)
                if isLive { try await node.apply(file.configuration) }
            }
        }
        return APIAnswer.json([
            "key": .string(key), "value": try file.value(of: key).json, "restart": restart,
        ])
    }

    private var publicKey: String {
        Multibase.base64Pad.encodeBody(node.identity.publicKey.encoded)
    }
}

/// Changes the file of settings, one after the other: two at once would each write what the other
/// has not changed.
actor SettingsWriter {
    /// Changes one key; gives the file as it is then.
    func set(_ key: String, to value: String, in path: String) throws -> ConfigurationFile {
        var file = try ConfigurationFile.open(path)
        try file.set(key, to: value)
        try file.write(to: path)
        return file
    }
}

extension ConfigurationValue {
    /// The value as JSON.
    fileprivate var json: Value {
        switch self {
        case .string(let text): .string(text)
        case .integer(let number): .number(number)
        case .list(let items): .list(items.map { .string($0) })
        }
    }
}

extension ConfigurationFile {
    /// All keys and their values.
    fileprivate var json: Value {
        .map(
            ConfigurationKey.all.compactMap { key in
                // Every key in the table has a value.
                (try? value(of: key.name)).map { .init(key.name, $0.json) }
            })
    }
}
