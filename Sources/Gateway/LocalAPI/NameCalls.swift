// The calls about names and keys: name publish|resolve, key gen|list|rm|rename|import.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import Multiformats
import NIOCore
import Weft

extension LocalServices {
    func addNameRoutes(to router: Router<LocalContext>) {
        router.call("/api/v0/name/resolve") { call in
            let asked = call.all.first ?? KeyRing.selfName
            // A key's name means what it means to `name publish`.
            let own = try node.keys.list().first { $0.name == asked }
            let name = own?.peer.ipnsName ?? asked
            let path = name.hasPrefix("/") ? name : "/ipns/\(name)"
            let cache: Weft.Request.CacheMode = try call.flag("nocache", "n") ? .noCache : .standard
            let resolved = try await node.names.resolve(
                LocatedContent.encodedPath(path), cache: cache,
                limits: try call.limits(node.configuration))
            return APIAnswer.json(["Path": .string(resolved.path)])
        }
        router.call("/api/v0/name/publish") { call in try await namePublish(call) }
    }

    func addKeyRoutes(to router: Router<LocalContext>) {
        router.call("/api/v0/key/gen") { call in
            if let type = call["type"] ?? call["t"], type != "ed25519" {
                throw APIError.badArgument("keys are made of type ed25519 here, not '\(type)'")
            }
            return APIAnswer.json(try node.keys.generate(try call.only("name")).json)
        }
        router.call("/api/v0/key/list") { _ in
            APIAnswer.json(["Keys": .list(try node.keys.list().map(\.json))])
        }
        router.call("/api/v0/key/rm") { call in
            let all = try node.keys.list()
            var removed: [Value] = []
            for name in try call.atLeastOne("name") {
                let key = all.first { $0.name == name }
                try node.keys.remove(name)
                if let key { removed.append(key.json) }
            }
            return APIAnswer.json(["Keys": .list(removed)])
        }
        router.call("/api/v0/key/rename") { call in
            let names = try call.atLeastOne("name")
            guard names.count == 2 else {
                throw APIError.badArgument("two names are needed: the old and the new one")
            }
            guard names[0] != KeyRing.selfName else { throw KeyError.isIdentity }
            let key = try node.keys.key(names[0])
            // Stopped in between, the key has both names; it is never lost.
            let renamed = try node.keys.add(key, as: names[1])
            try node.keys.remove(names[0])
            return APIAnswer.json([
                "Was": .string(names[0]), "Now": .string(names[1]),
                "Id": .string(renamed.peer.ipnsName), "Overwrite": .bool(false),
            ])
        }
        router.call("/api/v0/key/import") { call in
            let name = try call.only("name")
            let upload = try UploadReader(call)
            guard try await upload.nextPart() != nil else {
                throw APIError.badArgument("no key was sent")
            }
            let bytes = try await upload.wholePart(upTo: 2 * PrivateKey.maxLength)
            let key = try KeyForm.decode(Array(bytes.readableBytesView))
            return APIAnswer.json(try node.keys.add(key, as: name).json)
        }
    }

    func addOwnKeyRoutes(to router: Router<LocalContext>) {
        // Kubo has this on its command line alone, and so it is here: the secret does not go over
        // a port.
        router.call("/weft/v1/key/export") { call in
            let form = KeyForm(rawValue: call["format"] ?? KeyForm.protobuf.rawValue)
            guard let form else {
                throw APIError.badArgument(
                    "format must be \(KeyForm.protobuf.rawValue) or \(KeyForm.pem.rawValue)")
            }
            let bytes = try form.encode(try node.keys.key(try call.only("name")))
            return try await APIAnswer.bytes(
                call, type: "application/octet-stream",
                Weft.ResponseBody(ByteBuffer(bytes: bytes)))
        }
    }

    private func namePublish(_ call: APIRequest) async throws -> ServerResponse {
        let path = try call.only("ipfs-path")
        // Kubo wants 'allow-offline' before it publishes without a network; here it may always.
        _ = try call.flag("allow-offline")
        let key = call["key"] ?? call["k"] ?? KeyRing.selfName
        var value = LocatedContent.encodedPath(path)
        if try call.flag("resolve", or: false) {
            value = try await locate(path, call, .block).path
        }
        let published = try await node.publish(
            value, as: key, lifetime: try call.duration("lifetime") ?? call.duration("t"),
            ttl: try call.duration("ttl"),
            audience: try call.flag("offline") ? .nobody : .routers)
        return APIAnswer.json([
            "Name": .string(published.name.ipnsName), "Value": .string(published.value),
        ])
    }
}

extension NamedKey {
    /// The key as Kubo writes it.
    fileprivate var json: Value {
        .object(["Name": .string(name), "Id": .string(peer.ipnsName)])
    }
}
