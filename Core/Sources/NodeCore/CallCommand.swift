// What a node is asked about calls, what it wants done for them, and what it answers.

public import Compute
public import Multiformats
import Wire

/// How a node takes part in calls.
public struct CallParticipation: Sendable {
    /// What is offered to peers.
    public var offer: CallOffer
    /// Whether peers may ask this node.
    public var isServing: Bool
    /// What peers owe each other, as it was left.
    public var book: CreditBook
    /// What is known of peers from before, and who is banned.
    public var responders: Responders
    /// ``SecretGenerator/secretBytes`` random bytes, of which nonces, salts and the choice of what
    /// is checked follow. Nobody may know them.
    public var secret: [UInt8]
    /// What peers can make this node do.
    public var limits = CallServerLimits()

    /// A part like this.
    public init(
        offer: CallOffer, isServing: Bool, book: CreditBook,
        responders: Responders = Responders(), secret: [UInt8]
    ) {
        self.responders = responders
        self.offer = offer
        self.isServing = isServing
        self.book = book
        self.secret = secret
    }
}

extension NodeCore {
    /// What can be asked about calls. All but ``fetch(_:_:_:candidates:known:here:)`` is answered
    /// at once; a node without calls (``Configuration/calls``) answers `.failed(.unavailable)`.
    public enum CallCommand: Sendable {
        /// Have a call run: `.call(.result)` or `.call(.failed)`. Besides the candidates those are
        /// asked who are connected and speak the protocol; `known` is who vouches for a result that
        /// is remembered, `here` what this node can do itself.
        case fetch(
            Call, CallTerms, CallAudit, candidates: [PeerID], known: ResultHistory?,
            here: LocalCapacity?)
        /// Look into what somebody says about a peer: `.done`, before that has come to an end.
        case accuse(Evidence)
        /// Do not ask the accused, and give the proof to whoever wants it: it was found to be true
        /// before this node was started. `.done`.
        case know(Evidence)
        /// Change what is offered to peers: `.done`.
        case setOffer(CallOffer)
        /// How long calls have to wait now: `.done`.
        case setQueue(Duration)
        /// Tell the DHTs that this node runs a contract, now and as long as it runs: `.done`, or
        /// `.failed(.unavailable)` for a node that runs nothing for peers.
        case announce(CID)
        /// What peers owe each other, and what is known of them: `.call(.book)`.
        case book
    }

    /// What a ``CallCommand`` is answered with, if not with a failure.
    public enum CallReport: Sendable {
        case result(CallResult)
        case failed(CallError)
        case book(CreditBook, Responders)
    }

    /// What a node wants done for calls. Those with a number are answered by a ``CallCompletion``.
    public enum CallOrder: Sendable {
        /// Look whether this is the peer's signature: `verified`.
        case verify(UInt64, PeerID, message: [UInt8], signature: [UInt8])
        /// Sign this with the node's identity: `signed`.
        case sign(UInt64, [UInt8])
        /// Run this call: `ran`. For a peer that says so signed answers of others will do as well:
        /// `recalled`.
        case run(UInt64, Call, RunPurpose)
        /// What comes of a run, or of looking into a proof, is not needed any more. If a peer has
        /// taken its call back: `used`.
        case stop(UInt64, takenBack: CallExchange.ServedCall?)
        /// Get these records from a peer or from the store: `loaded`.
        case load(UInt64, [CID], from: PeerID?)
        /// Run this activation again, with what was recorded of those below it: `replayed`.
        case replay(UInt64, ReplayOrder)
        /// A result that was given out has turned out to be wrong. With the right one, if known.
        case refuted(CallRecord?)
        /// A peer has lied and is asked nothing more. The proof is for everybody.
        case convicted(PeerID, Evidence)
        /// Look into this file, which is said to be a proof: `examined`.
        case examine(UInt64, [UInt8])
        /// This answer is worth remembering; `via` has passed it on.
        case vouched(CallAnswer, via: PeerID?)
        /// This result is not to be remembered any more.
        case disbelieve(CallRecord)
        /// Keep this receipt and all changes of balances before it: `kept`.
        case keep(UInt64, Receipt)
        /// A balance has changed.
        case changed(BalanceChange)
    }

    /// What came of a ``CallOrder``.
    public enum CallCompletion: Sendable {
        case verified(UInt64, Bool)
        /// Nil if it could not be signed.
        case signed(UInt64, [UInt8]?)
        /// Nil if this machine could not run it: that is no result of the call.
        case ran(UInt64, CallRecord?)
        /// The blocks of the records in their order; nil if not all could be had.
        case loaded(UInt64, [[UInt8]]?)
        /// Nil if this machine could not run it.
        case replayed(UInt64, Replay?)
        /// Who vouches for the result that a peer wants.
        case recalled(UInt64, ResultHistory)
        /// So much gas, about, a call had used when its asker took it back.
        case used(UInt64, by: CallExchange.ServedCall)
        case examined(UInt64, ProofFinding)
        /// Whether it is sure not to be forgotten.
        case kept(UInt64, Bool)
    }
}
