public import Multiformats
public import NodeCore
import Peering

/// Why something about peers was not done.
public enum MeshError: Error, Sendable {
    /// The address does not say which peer is there.
    case noPeer(Multiaddr)
    /// This node cannot dial addresses of this kind.
    case unsupported(Multiaddr)
    /// No address of that peer that could be dialled is known behind a `dnsaddr`; with what went
    /// wrong with asking, if something did.
    case notResolved(Multiaddr, String?)
    /// It is not possible to listen there; with what the system says.
    case cannotListen(Multiaddr, String)
    /// The configuration names something that is no multiaddr; with what is wrong with it.
    case notAnAddress(String, String)
    /// The key file of the private network cannot be used; with the reason.
    case badPrivateKey(String, String)
    /// The certificate for `/tls/ws` cannot be used.
    case badCertificate(chain: String, key: String, CertificateFiles.Failure)
    /// It was not done, to or with this peer.
    case failed(PeerID, NodeCore.Failure)
    /// The DHTs were not asked.
    case notSearched(NodeCore.Failure)
    /// The peer lets nobody measure its connection, or not now.
    case notMeasured(PeerID)
    /// The node stops.
    case stopped
}

extension MeshError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .noPeer(let address):
            "'\(address)' does not end in /p2p/PEER, so that nobody could tell who answers"
        case .unsupported(let address):
            "'\(address)' cannot be dialled; use /ip4/…, /ip6/… or /dns/…, then /tcp/PORT/p2p/PEER"
        case .notResolved(let address, let failure?):
            "the domain of '\(address)' could not be asked: \(failure)"
        case .notResolved(let address, nil):
            "the TXT records of _dnsaddr.\(address.components[0].text) name no address of that "
                + "peer that can be dialled from here"
        case .cannotListen(let address, let reason):
            "cannot listen on \(address): \(reason); choose another address with --listen"
        case .notAnAddress(let text, let reason):
            "'\(text)' in 'mesh.listen', 'mesh.bootstrap' or 'mesh.relays' is not a multiaddr: "
                + reason
        case .badPrivateKey(let path, let reason):
            "'mesh.private-key-file' names \(path): \(reason); 'weft key private' makes a key file"
        case .badCertificate(let chain, _, .noCertificate):
            "'mesh.certificate' names \(chain), which holds no certificate in PEM"
        case .badCertificate(_, let key, .noKey):
            "'mesh.certificate-key' names '\(key)', which holds no private key in PEM without a "
                + "password"
        case .badCertificate(let chain, let key, .mismatch):
            "the key in \(key) ('mesh.certificate-key') is not that of the certificate in \(chain) "
                + "('mesh.certificate')"
        case .failed(let peer, .unreachable(let attempts)):
            "\(peer) was not reached: "
                + attempts.map { "\($0.address) \($0.failure.reason)" }.joined(separator: "; ")
        case .failed(let peer, .notConnected):
            "there is no connection to \(peer); 'weft peers' lists those that there are"
        case .failed(let peer, .noAddress):
            "no address of \(peer) is known that can be dialled from here; give one, as "
                + "/ip4/…/tcp/PORT/p2p/\(peer)"
        case .failed(let peer, let failure): "\(peer): \(failure)"
        case .notSearched(.timedOut): "the DHTs did not answer in time"
        case .notSearched(let failure): "the DHTs were not asked: \(failure)"
        case .notMeasured(let peer):
            "\(peer) does not let its connection be measured now; on a Weft node that is allowed "
                + "by 'mesh.perf'"
        case .stopped: "the node stops"
        }
    }
}

extension DialFailure {
    /// What happened, after the address.
    fileprivate var reason: String {
        switch self {
        case .refused: "did not accept a connection"
        case .timedOut: "did not answer in time"
        case .handshake: "answered, but not as a libp2p peer that this node can talk to"
        case .wrongPeer: "is somebody else"
        case .backedOff: "failed just before and was not tried again"
        case .abandoned: "was given up"
        }
    }
}
