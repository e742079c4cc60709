// Associations that pages offer over relays: the sockets of them.

import Logging
import Multiformats
import NIOCore
import NodeCore
import Peering
import Transports

extension MeshDriver {
    func associate(_ number: UInt64, _ offer: AssociationOffer) {
        let (access, narrowest) = (access, offer.narrowest)
        do {
            associations[number] = try prepare().get().answer(
                WebRTCOffer(
                    peer: offer.peer, description: offer.description, addresses: offer.addresses,
                    servers: offer.servers)
            ) { place in
                place.webRTCMultiaddr.map { $0.scope >= narrowest && access.admits($0) } ?? false
            } tell: { [mesh] step in
                switch step {
                case .answer(let text): mesh.receive([.association(number, .answer(text))])
                case .candidate(let text): mesh.receive([.association(number, .candidate(text))])
                case .failed:
                    mesh.run {
                        $0.associations[number] = nil
                        $0.receive([.association(number, .failed)])
                    }
                }
            }
        } catch {
            logger.debug(
                "a page's offer cannot be answered",
                metadata: ["peer": "\(offer.peer)", "reason": "\(error)"])
            receiveNext(.association(number, .failed))
        }
    }

    func endAssociation(_ number: UInt64) { associations.removeValue(forKey: number)?.end() }
}
