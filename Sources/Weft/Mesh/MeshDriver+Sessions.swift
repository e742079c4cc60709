// Sessions of the mesh's machine: what retrievals want, and what becomes of it.

import Exchange
import IPLD
import Multiformats
import NodeCore

extension MeshDriver {
    /// Begins a session.
    func open(_ session: MeshSession) {
        let opened = perform(.openSession(patience: session.patience))
        guard case .session(let id) = opened else {
            return session.end(.unreachable("the mesh opens no session"))
        }
        sessions[id] = session
        session.opened(id)
    }

    /// A session wants blocks.
    func want(_ wants: [NodeCore.Want], for session: MeshSession) {
        guard let id = session.id, sessions[id] != nil,
            case .accepted(let count) = perform(.want(id, wants))
        else { return }
        // Only what goes beyond the table's limit is refused.
        for want in wants[count...] { session.missing(want.cid, .unreachable) }
    }

    /// A session wants blocks no longer.
    func unwant(_ cids: [CID], for session: MeshSession) {
        guard let id = session.id, sessions[id] != nil else { return }
        _ = perform(.unwant(id, cids))
    }

    /// A session wants all of a DAG at once.
    func stream(_ dag: WeftDAG, room: Int, for session: MeshSession) {
        if let id = session.id, sessions[id] != nil,
            case .done = perform(.stream(id, dag, room: room))
        {
            return
        }
        session.wholeIsOver()
    }

    /// A session has taken some of it.
    func grant(_ bytes: Int, for session: MeshSession) {
        guard let id = session.id, sessions[id] != nil else { return }
        _ = perform(.grant(id, bytes: bytes))
    }

    /// A session wants no more of it.
    func endStream(for session: MeshSession) {
        guard let id = session.id, sessions[id] != nil else { return }
        _ = perform(.endStream(id))
    }

    /// Ends a session.
    func close(_ session: MeshSession) {
        guard let id = session.id, sessions.removeValue(forKey: id) != nil else { return }
        _ = perform(.closeSession(id))
    }

    /// Hands on blocks.
    func deliver(_ blocks: [ReceivedBlock], from peer: PeerID, to ids: [WantTable.SessionID]) {
        for id in ids { sessions[id]?.received(blocks, from: peer) }
    }
}
