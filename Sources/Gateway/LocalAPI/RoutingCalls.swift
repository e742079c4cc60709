// The calls about the DHTs: Kubo's routing/findprovs, findpeer and provide. Each answers its query
// events, one a line (docs.ipfs.tech/reference/kubo/rpc).

import BlockStore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import Multiformats
import NodeCore
import Peering
import Weft

extension LocalServices {
    /// How many providers a call may ask for, and asks for usually.
    private static let providers = (most: UInt64(256), usual: UInt64(20))

    func addRoutingRoutes(to router: Router<LocalContext>) {
        router.call("/api/v0/routing/findprovs") { call in
            let cid = try Self.cid(try call.only("key"))
            let count = try call.number("num-providers", "n") ?? Self.providers.usual
            guard 1...Self.providers.most ~= count else {
                throw APIError.badArgument(
                    "'num-providers' must be from 1 to \(Self.providers.most)")
            }
            return findProviders(
                cid, Int(count), within: try Self.limit(call), steps: try call.flag("verbose", "v"))
        }
        router.call("/api/v0/routing/findpeer") { call in
            let peer = try Self.target(try call.only("peerID")).peer
            return findPeer(
                peer, within: try Self.limit(call), steps: try call.flag("verbose", "v"))
        }
        router.call("/api/v0/routing/provide") { call in
            let cids = try call.atLeastOne("key").map(Self.cid)
            for cid in cids where try await node.store.size(of: cid.hash) == nil {
                throw APIError(
                    "block \(cid) is not in the store, so it cannot be provided",
                    status: .internalServerError)
            }
            let time = try Self.limit(call)
            return APIAnswer.lines { @concurrent emit in
                for cid in cids {
                    let answer = try await node.mesh.provide(cid, within: time)
                    for event in answer.events { try await emit(event) }
                    guard answer.stored == 0 else { continue }
                    throw APIError(
                        "\(cid) was announced to nobody: "
                            + (answer.obstacle ?? "no server took it"),
                        status: .internalServerError)
                }
            }
        }
    }

    private func findProviders(
        _ cid: CID, _ count: Int, within time: Duration, steps: Bool
    ) -> ServerResponse {
        APIAnswer.lines { @concurrent emit in
            let (found, more) = AsyncStream.makeStream(
                of: FoundPeer.self, bufferingPolicy: .bufferingOldest(2 * Kad.maxProvidersFound))
            let mesh = node.mesh
            async let search = {
                defer { more.finish() }
                return try await mesh.findProviders(of: cid, limit: count, within: time) {
                    more.yield($0)
                }
            }()
            var told = 0
            for await provider in found where told < count {
                told += 1
                try await emit(Self.event(.provider, provider))
            }
            let answer = try await search
            if steps { for event in answer.events { try await emit(event) } }
            if told == 0, let obstacle = answer.obstacle {
                throw APIError(obstacle, status: .internalServerError)
            }
        }
    }

    private func findPeer(_ peer: PeerID, within time: Duration, steps: Bool) -> ServerResponse {
        APIAnswer.lines { @concurrent emit in
            let (addresses, answer) = try await node.mesh.findPeer(peer, within: time)
            if steps { for event in answer.events { try await emit(event) } }
            guard !addresses.isEmpty else {
                throw APIError(
                    "where \(peer) is was not found: "
                        + (answer.obstacle ?? "none of the peers that were asked knows"),
                    status: .internalServerError)
            }
            try await emit(Self.event(.finalPeer, FoundPeer(peer: peer, addresses: addresses)))
        }
    }

    // MARK: Arguments

    private static func cid(_ text: String) throws(APIError) -> CID {
        do {
            return try CID(text: text)
        } catch {
            throw .badArgument("invalid CID '\(text)': \(error)")
        }
    }

    /// How long the search may take.
    private static func limit(_ call: APIRequest) throws(APIError) -> Duration {
        min(try call.duration("timeout") ?? Mesh.searchLimit, Mesh.searchLimit)
    }

    // MARK: Answers

    private static func event(_ kind: QueryEvent, _ found: FoundPeer) -> Value {
        kind.entry(
            of: nil,
            responses: [
                .object([
                    "ID": .string(found.peer.description),
                    "Addrs": .list(found.addresses.map { .string($0.description) }),
                ])
            ])
    }
}

/// The kinds of Kubo's query events, by their numbers.
enum QueryEvent: Int {
    case peerResponse = 1
    case finalPeer = 2
    case queryError = 3
    case provider = 4

    /// An event of this kind.
    fileprivate func entry(of peer: PeerID?, responses: [Value], extra: String = "") -> Value {
        .object([
            "ID": .string(peer?.description ?? ""), "Type": .number(rawValue),
            "Responses": .list(responses), "Extra": .string(extra),
        ])
    }
}

extension NodeCore.SearchAnswer {
    /// Who was asked, and what each said.
    fileprivate var events: [Value] {
        results.flatMap { $0.steps }.map { step in
            switch step.answer {
            case .failed(let fault):
                QueryEvent.queryError.entry(of: step.peer, responses: [], extra: "\(fault)")
            case .invalid:
                QueryEvent.queryError.entry(
                    of: step.peer, responses: [], extra: "it answered what no peer should")
            case .peers(let closer, let providers):
                QueryEvent.peerResponse.entry(
                    of: step.peer, responses: [],
                    extra: "\(closer) nearer peers, \(providers) providers")
            case .value, .stored:
                QueryEvent.peerResponse.entry(of: step.peer, responses: [])
            }
        }
    }
}
