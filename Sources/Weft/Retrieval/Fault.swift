// What can go wrong with a provider, and what follows from it.

import Exchange
import Multiformats

/// What went wrong when a provider was asked.
enum Fault: Error, Sendable, Hashable {
    /// It does not have the content.
    case absent(status: Int)
    /// It does not speak the form that was asked for (for example CAR).
    case unsupported(String)
    /// It asks to be left alone for a while.
    case busy(status: Int, retryAfter: Duration)
    /// Its bytes do not match the hash.
    case lied(String)
    /// It sent something that is not what was asked for.
    case rubbish(String)
    /// The answer ended before it was complete.
    case truncated(String)
    /// It sent nothing for too long.
    case stalled
    /// No connection could be made, or it broke before an answer.
    case unreachable(String)
    /// It answered with an error of its own.
    case refused(status: Int)
    /// None of the peers brought a block.
    case missing(CID, WantTable.Failure)
    /// We gave up asking, through no fault of its own.
    case cancelled

    /// What follows for the provider in this session.
    enum Consequence {
        /// Nothing.
        case none
        /// It is not asked for this content again.
        case lacksThis
        /// It is not asked in this form again.
        case lacksForm
        /// It is asked again after a pause.
        case pause(Duration)
        /// It is asked again only if there is nobody else, and not often.
        case suspend
        /// It is not asked again, and remembered.
        case drop
    }

    /// What follows for the provider in this session.
    var consequence: Consequence {
        switch self {
        case .absent, .missing: .lacksThis
        case .unsupported: .lacksForm
        case .busy(_, let pause): .pause(pause)
        case .lied, .rubbish: .drop
        case .truncated, .stalled, .unreachable, .refused: .suspend
        case .cancelled: .none
        }
    }

    /// The HTTP status that came with it, if one did.
    var status: Int? {
        switch self {
        case .absent(let status), .busy(let status, _), .refused(let status): status
        default: nil
        }
    }
}

extension Fault: CustomStringConvertible {
    var description: String {
        switch self {
        case .absent: "it does not have this"
        case .unsupported(let what): "it cannot answer in this form: \(what)"
        case .busy(_, let pause): "it asks to wait \(pause.components.seconds) s"
        case .lied(let what): "wrong bytes: \(what)"
        case .rubbish(let what): "not what was asked for: \(what)"
        case .truncated(let what): "the answer broke off: \(what)"
        case .stalled: "it sent nothing for too long"
        case .unreachable(let what): "not reachable: \(what)"
        case .refused: "it answered with an error"
        case .missing(let cid, .absent): "no peer has \(cid)"
        case .missing(let cid, .unreachable): "peers that have \(cid) were not reached"
        case .missing(let cid, .unverifiable): "only wrong bytes came for \(cid)"
        case .missing(let cid, .deadline): "no peer brought \(cid) in time"
        case .cancelled: "given up, no longer needed"
        }
    }
}
