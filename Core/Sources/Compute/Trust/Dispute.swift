// Two answers to one call differ. Both are roots of trees of records, so the one activation that
// they differ about is found by going down where the trees part, and replayed alone. Its outcome
// decides, not who says it nor how many.

import Multiformats
import Wire

/// The search for who is wrong.
struct Dispute: Sendable {
    /// One of the two who differ.
    struct Party: Sendable {
        /// Who; nil for this node.
        let peer: PeerID?
        /// What the peer signed.
        let answer: CallAnswer?
        /// The record of the activation that has been reached.
        var record: CallRecord
        /// The records on the way there, and those of its children.
        var passed: [CallRecord] = []
        var children: [CallRecord]?
        /// The record of the child where the trees part, as soon as it is there.
        var branch: CallRecord?
        /// Whether it is found to be wrong; nil as long as that is open.
        var isWrong: Bool?
        /// Whether it answered an older question: then it need not have its records any more.
        let isRemembered: Bool

        init(_ given: CallSession.Given) {
            peer = given.responder.peer
            answer = given.answer
            record = given.record
            isRemembered = given.isRemembered
            // What this node has run itself is not put on trial.
            if peer == nil { isWrong = false }
        }
    }

    /// What has to be done next.
    enum Step: Sendable {
        /// Get these records from a party.
        case load([CID], party: Int)
        /// Run a party's activation again.
        case replay(ReplayOrder, party: Int)
        /// It is over.
        case over
    }

    private(set) var parties: [Party]
    /// The way from the roots to the activation.
    private(set) var path: [UInt32] = []
    /// Whether the activation that they differ about has been found.
    private var isFound = false
    /// Parties that did not give out what they had committed to, and those that need not any more.
    private(set) var withholding: [PeerID] = []
    private(set) var forgetful: [PeerID] = []
    private(set) var isUnresolved = false

    init(_ one: Party, _ two: Party) {
        parties = [one, two]
    }

    /// What is next.
    mutating func next() -> Step {
        while !isUnresolved, withholding.isEmpty, forgetful.isEmpty {
            guard isFound else {
                if let step = descend() { return step }
                continue
            }
            guard let party = parties.firstIndex(where: { $0.isWrong == nil }) else { return .over }
            guard let children = parties[party].children else {
                let wanted = parties[party].record.children
                guard wanted.isEmpty else { return .load(wanted, party: party) }
                parties[party].children = []
                continue
            }
            do throws(RecordFault) {
                let order = try ReplayOrder(parties[party].record, children: children)
                return .replay(order, party: party)
            } catch {
                parties[party].isWrong = true
            }
        }
        return .over
    }

    /// Goes down one record if the trees part there. Nil if it could go on at once.
    private mutating func descend() -> Step? {
        let one = parties[0].record.children
        let two = parties[1].record.children
        guard path.count < CallLimits.maxDepth - 1,
            let place = zip(one, two).enumerated().first(where: { $1.0 != $1.1 })?.offset
        else {
            isFound = true
            return nil
        }
        for party in [0, 1] where parties[party].branch == nil {
            return .load([party == 0 ? one[place] : two[place]], party: party)
        }
        guard let left = parties[0].branch, let right = parties[1].branch, left.call == right.call
        else {
            // They called different things, so they had parted before.
            isFound = true
            return nil
        }
        path.append(UInt32(place))
        for (party, branch) in [left, right].enumerated() {
            parties[party].record = branch
            parties[party].passed.append(branch)
            parties[party].branch = nil
        }
        return nil
    }

    /// The records that ``next()`` wanted; nil if the party does not give them.
    mutating func loaded(_ records: [CallRecord]?, party: Int) {
        guard let records else {
            if let peer = parties[party].peer {
                if parties[party].isRemembered {
                    forgetful.append(peer)
                } else {
                    withholding.append(peer)
                }
            } else {
                isUnresolved = true
            }
            return
        }
        if isFound {
            parties[party].children = records
        } else {
            parties[party].branch = records.first
        }
    }

    /// Whether a party gives the records that ``next()`` wanted is not known.
    mutating func couldNotLoad() { isUnresolved = true }

    /// What came of the replay that ``next()`` wanted; nil if this node could not run it.
    mutating func replayed(_ replay: Replay?, party: Int) {
        guard let replay, let children = parties[party].children else {
            isUnresolved = true
            return
        }
        // Where the children are the same, one replay tells of both.
        for index in parties.indices where parties[index].isWrong == nil {
            guard index == party || parties[index].record.children == parties[party].record.children
            else { continue }
            parties[index].children = children
            parties[index].isWrong =
                switch replay {
                case .strayed: true
                case .record(let record): record != parties[index].record
                }
        }
    }

    /// Who is wrong, with the proof.
    var evidence: [(peer: PeerID, evidence: Evidence)] {
        var found: [(peer: PeerID, evidence: Evidence)] = []
        for party in parties where party.isWrong == true {
            guard let peer = party.peer, let answer = party.answer else { continue }
            var records = party.passed
            var seen = Set(records.map { $0.cid })
            for child in party.children ?? [] where seen.insert(child.cid).inserted {
                records.append(child)
            }
            found.append((peer, .wrongAnswer(WrongAnswer(answer, path: path, records: records))))
        }
        return found
    }
}
