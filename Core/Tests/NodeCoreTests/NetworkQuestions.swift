// What tests ask the nodes of a virtual network.

import Exchange
import NodeCore
import Simulation

extension VirtualNetwork {
    struct Unanswered: Error {}

    func isDone(_ host: Int, _ id: UInt64) -> Bool {
        if case .done = answer(host, id) { return true }
        return false
    }

    func failure(_ host: Int, _ id: UInt64) -> NodeCore.Failure? {
        if case .failed(let failure) = answer(host, id) { return failure }
        return nil
    }

    mutating func status(_ host: Int) throws -> NodeStatus {
        let id = order(host, .status)
        guard case .status(let status) = answer(host, id) else { throw Unanswered() }
        return status
    }

    mutating func peers(_ host: Int) throws -> [PeerSnapshot] {
        let id = order(host, .peers)
        guard case .peers(let peers) = answer(host, id) else { throw Unanswered() }
        return peers
    }

    mutating func session(
        _ host: Int, patience: Duration = .seconds(30)
    ) throws -> WantTable.SessionID {
        let id = order(host, .openSession(patience: patience))
        guard case .session(let session) = answer(host, id) else { throw Unanswered() }
        return session
    }
}
