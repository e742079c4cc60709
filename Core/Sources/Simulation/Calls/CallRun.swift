// A network of peers that call each other while some of them lie: how many wrong answers are given
// out until each liar is found, against what the formulas say (docs/call-protocol.md, "What an
// audit is worth"), and whether anybody honest comes to harm.

import Compute
import Multiformats
public import Wire

/// One run of calls.
public struct CallRun {
    /// What is to be run.
    public struct Settings: Sendable {
        /// How many peers there are.
        public var peers = 1_000
        /// The share of them that lies.
        public var liars = 0.2
        /// How they lie: one after another of these.
        public var lies: [CallLie] = [.output]
        /// How many calls honest peers make.
        public var calls = 30_000
        /// How many calls begin in a virtual second.
        public var pace = 500
        /// How long everything goes on after the last call, in virtual seconds.
        public var rest = 300
        /// How many of a million answers are asked for again.
        public var sample: UInt32 = 50_000
        /// To how many others each peer connects, at random. They tell each other of proofs; if
        /// there are none, nobody is told.
        public var neighbours = 8
        /// The debt that is signed for, in credits; nil: the usual, which no call here comes to.
        public var delta: UInt64?
        /// How many peers may be asked for each call.
        public var candidates = 16
        /// Where all chance comes from.
        public var seed: UInt64 = 1

        /// A thousand peers, a fifth of which lies.
        public init() {}
    }

    /// What came of it.
    public struct Outcome: Sendable {
        /// Calls that had a result, and that had none.
        public internal(set) var answered = 0
        public internal(set) var failed = 0
        /// Results that were wrong when they were given out.
        public internal(set) var wrong = 0
        /// Of these, how many were found out by a check.
        public internal(set) var detected = 0
        /// How many should have been, summed over the wrong ones: the chance of a check, times the
        /// share of those who would not have told the same lie.
        public internal(set) var expected = 0.0
        /// The variance of that.
        public internal(set) var variance = 0.0
        /// Peers against whom there is a proof.
        public internal(set) var convicted = 0
        /// Wrong results of liars up to the first proof against them.
        public internal(set) var wrongBeforeProof = 0
        /// Honest peers against whom there is a proof, or that anybody has stopped asking.
        public internal(set) var honestPunished = 0
        /// Credits that honest peers owe to liars for wrong results in the end.
        public internal(set) var loss: UInt64 = 0
        /// Credits that wrong results were to cost.
        public internal(set) var charged: UInt64 = 0
        /// How often peers were asked to run a call.
        public internal(set) var runs = 0
        /// How long it took from the first proof against a liar until 95 of 100 honest peers knew,
        /// in seconds, of each liar of which so many know.
        public internal(set) var spreadSeconds: [Double] = []
        /// How many honest peers know of each liar against whom there is a proof: the share of all.
        public internal(set) var knownShare = 0.0
        /// How many liars have signed more than one receipt for one place.
        public internal(set) var forks = 0
        /// How long it took to find forks, from the second signature to the first proof, in
        /// seconds.
        public internal(set) var forkSeconds: [Double] = []
        /// Messages from one peer to another.
        public internal(set) var messages = 0

        /// How far what was detected lies from what was expected, in standard deviations.
        public var deviation: Double {
            variance > 0 ? (Double(detected) - expected) / variance.squareRoot() : 0
        }

        /// How many wrong results there were for each proof.
        public var wrongPerConviction: Double {
            convicted > 0 ? Double(wrongBeforeProof) / Double(convicted) : 0
        }

        /// The share of results that was asked for once more, whatever for.
        public var checkShare: Double {
            answered > 0 ? Double(runs - answered) / Double(answered) : 0
        }
    }

    /// What is run.
    public let settings: Settings
    /// The network.
    public private(set) var network = CallNetwork()
    /// What came of it so far.
    public private(set) var outcome = Outcome()
    private var random: SeededGenerator
    private var honest: [Int] = []
    private var liars: [Int] = []
    /// The candidates of each call under way, by node and number.
    private var calls: [Key: [PeerID]] = [:]
    private var wrongOf: [PeerID: Int] = [:]
    /// When the first proof against a liar was found, and how many honest peers know of it.
    private var proven: [PeerID: (at: Instant, known: Int)] = [:]
    /// Wrong results that were given out, by node and number.
    private var given: Set<Key> = []

    private struct Key: Hashable {
        let node: Int
        let number: UInt64
    }

    /// A network in which nobody has called anybody.
    public init(_ settings: Settings) throws(DecodeError) {
        self.settings = settings
        random = SeededGenerator(seed: settings.seed)
        let count = Int(Double(settings.peers) * settings.liars)
        for index in 0..<settings.peers {
            let isLiar = index < count && !settings.lies.isEmpty
            var credit = CreditLimits()
            if let delta = settings.delta { credit.delta = delta }
            try network.add(
                isLiar ? settings.lies[index % settings.lies.count] : nil, credit: credit,
                random: &random)
            if isLiar { liars.append(index) } else { honest.append(index) }
        }
        for one in 0..<settings.peers {
            for _ in 0..<settings.neighbours {
                let other = random.below(settings.peers)
                if other != one { network.connect(one, other) }
            }
        }
    }

    /// How many liars there are.
    public var liarCount: Int { liars.count }

    /// How many wrong results a liar gives out on average before there is a proof against it: one
    /// in so many is asked for again of somebody who does not tell the same lie.
    public var wrongPerConvictionBound: Double {
        let chance = Double(settings.sample) / 1_000_000
        return chance > 0 ? 1 / (chance * (1 - settings.liars)) : .infinity
    }

    /// The mean of some numbers; zero if there are none.
    public static func mean(_ numbers: [Double]) -> Double {
        numbers.isEmpty ? 0 : numbers.reduce(0, +) / Double(numbers.count)
    }

    /// Lets all calls begin and end.
    public mutating func run() {
        for number in 0..<settings.calls {
            let at = network.now + .microseconds(Int64(number * 1_000_000 / settings.pace))
            network.plan(number, at: honest[random.below(honest.count)], at: at)
        }
        let seconds = Int64(settings.calls / settings.pace + settings.rest)
        let end = network.now + .seconds(seconds)
        while true {
            let (goesOn, call) = network.step(by: end)
            if let (node, number) = call { begin(number, at: node) }
            for (node, event) in network.takeReports() { take(event, of: node) }
            _ = network.takeMemories()
            if !goesOn { break }
        }
        count()
    }

    private mutating func begin(_ number: Int, at node: Int) {
        var candidates: [PeerID] = []
        var seen: Set<Int> = [node]
        let most = min(settings.candidates, settings.peers - 1)
        while candidates.count < most {
            let other = random.below(settings.peers)
            if seen.insert(other).inserted { candidates.append(network.nodes[other].peer) }
        }
        let depth = number % 8 == 0 ? 2 : number % 3 == 0 ? 1 : 0
        guard let call = try? PretendEngine.call(depth: depth, number: UInt64(number) << 8) else {
            return
        }
        let terms = CallTerms(expectedGas: 500_000, patience: .seconds(30))
        let sample = settings.sample
        let started = network.with(node) { exchange, now in
            exchange.fetch(
                call, terms: terms, audit: .sample(millionths: sample), candidates: candidates,
                here: nil, now: now)
        }
        calls[Key(node: node, number: started)] = candidates
    }

    private mutating func take(_ event: CallExchange.Event, of node: Int) {
        switch event {
        case .answered(let number, let result):
            outcome.answered += 1
            look(at: result, Key(node: node, number: number))
        case .failed(let number, _):
            outcome.failed += 1
            calls[Key(node: node, number: number)] = nil
        case .refuted(let number, _):
            if given.contains(Key(node: node, number: number)) { outcome.detected += 1 }
        case .convicted(let peer, let evidence): convict(peer, evidence, by: node)
        default: break
        }
    }

    private mutating func look(at result: CallResult, _ key: Key) {
        let candidates = calls.removeValue(forKey: key) ?? []
        guard let responder = result.responder.peer, let place = network.place(of: responder),
            let lie = network.nodes[place].lie, network.isWrong(result.record)
        else { return }
        outcome.wrong += 1
        outcome.charged += result.amount
        given.insert(key)
        wrongOf[responder, default: 0] += 1
        if proven[responder] == nil { outcome.wrongBeforeProof += 1 }
        // Whoever is asked again is one of the others that may be asked; the same lie agrees.
        let responders = network.nodes[key.node].exchange.responders
        let others = responders.eligible(
            candidates.filter { $0 != responder }, for: result.record.call, CallTerms(),
            now: network.now)
        let accomplices = others.count { other in
            network.place(of: other).map { network.nodes[$0].lie == lie } ?? false
        }
        let share = others.isEmpty ? 0 : Double(others.count - accomplices) / Double(others.count)
        let chance = Double(settings.sample) / 1_000_000 * share
        outcome.expected += chance
        outcome.variance += chance * (1 - chance)
    }

    private mutating func convict(_ peer: PeerID, _ evidence: Evidence, by node: Int) {
        guard let place = network.place(of: peer) else { return }
        guard network.nodes[place].lie != nil else {
            outcome.honestPunished += 1
            return
        }
        if proven[peer] == nil {
            outcome.convicted += 1
            proven[peer] = (network.now, 0)
            if case .fork = evidence, let since = network.forkedAt[peer] {
                outcome.forkSeconds.append(Self.seconds(network.now.since(since)))
            }
        }
        guard network.nodes[node].lie == nil, let (first, known) = proven[peer] else { return }
        proven[peer] = (first, known + 1)
        if known + 1 == (honest.count * 95 + 99) / 100 {
            outcome.spreadSeconds.append(Self.seconds(network.now.since(first)))
        }
    }

    private static func seconds(_ time: Duration) -> Double {
        Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
    }

    /// Looks at what is left when all is over.
    private mutating func count() {
        let liarIDs = Set(liars.map { network.nodes[$0].peer })
        for node in honest {
            let exchange = network.nodes[node].exchange
            for other in honest
            where exchange.responders.isBanned(network.nodes[other].peer, now: network.now) {
                outcome.honestPunished += 1
            }
            for peer in liarIDs {
                let balance = exchange.book.balance(of: peer)
                if balance < 0, wrongOf[peer] != nil { outcome.loss += balance.magnitude }
            }
        }
        let knowing = proven.reduce(0) { $0 + $1.value.known }
        outcome.knownShare =
            proven.isEmpty ? 0 : Double(knowing) / Double(proven.count * honest.count)
        outcome.runs = network.runs
        outcome.forks = network.forkedAt.count
        outcome.messages = network.messages
    }
}
