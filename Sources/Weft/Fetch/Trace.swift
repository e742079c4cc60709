// The trace of a fetch: what was looked up, who was asked, what each answered, how long it took.
// It is recorded while the work goes on and can be read at any time.

import Compute
import Synchronization

/// What a fetch did, in order; bounded, and shared by everyone who works for the fetch.
public final class Trace: Sendable {
    /// One thing that was done for a fetch.
    public struct Entry: Sendable, Hashable {
        /// What was done.
        public enum Step: String, Sendable, CaseIterable {
            /// The local store or local records were read.
            case store
            /// A name was looked up (IPNS, DNSLink, DNS).
            case name
            /// Providers were looked up.
            case routing
            /// A provider was asked for content.
            case provider
            /// An origin was asked for content.
            case origin
            /// A contract was called; a call within a call begins with a dot for each level.
            case call
            /// A decision was taken: a redirect, a takeover, a provider dropped.
            case decision
        }

        /// What was done.
        public let step: Step
        /// What was asked for: a URL, a CID, a name.
        public let subject: String
        /// Who was asked; empty if nobody was.
        public let peer: String
        /// What came of it, in words.
        public var outcome: String
        /// Whether it brought what was wanted; nil while it is under way.
        public var succeeded: Bool?
        /// The HTTP status that came back, if one did.
        public var status: Int?
        /// How many bytes came back.
        public var bytes: UInt64
        /// When it began, counted from the beginning of the fetch.
        public let began: Duration
        /// How long it took (so far).
        public var took: Duration
    }

    /// Names one entry, to complete it later.
    public struct Mark: Sendable, Hashable {
        fileprivate let index: Int
    }

    /// How many entries are kept; later ones are only counted.
    public static let maxEntries = 256

    /// An entry, or what makes it: most traces are never read, and texts cost more than notes.
    private enum Written {
        case now(Entry)
        case whenRead(@Sendable () -> Entry)

        var entry: Entry {
            switch self {
            case .now(let entry): entry
            case .whenRead(let make): make()
            }
        }
    }

    private struct State {
        var entries: [Written] = []
        var omitted = 0

        /// Adds an entry, if there is room. Returns its place.
        mutating func append(_ entry: Written) -> Int {
            guard entries.count < Trace.maxEntries else {
                omitted += 1
                return -1
            }
            entries.append(entry)
            return entries.count - 1
        }
    }

    private let state = Mutex(State())
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant

    /// An empty trace that begins now.
    public init() {
        start = clock.now
    }

    /// All entries so far, in the order in which they began.
    public var entries: [Entry] { state.withLock { $0.entries }.map(\.entry) }

    /// How many entries were left out because there were too many.
    public var omitted: Int { state.withLock { $0.omitted } }

    /// Since when the trace runs.
    public var elapsed: Duration { start.duration(to: clock.now) }

    /// Notes that something begins.
    public func begin(_ step: Entry.Step, _ subject: String, peer: String = "") -> Mark {
        let entry = Entry(
            step: step, subject: subject, peer: peer, outcome: "under way", succeeded: nil,
            status: nil, bytes: 0, began: elapsed, took: .zero)
        return Mark(index: state.withLock { $0.append(.now(entry)) })
    }

    /// Notes what came of it.
    public func end(
        _ mark: Mark, _ outcome: String, succeeded: Bool, status: Int? = nil, bytes: UInt64 = 0
    ) {
        let now = elapsed
        state.withLock { state in
            guard state.entries.indices.contains(mark.index),
                case .now(var entry) = state.entries[mark.index]
            else { return }
            entry.outcome = outcome
            entry.succeeded = succeeded
            entry.status = status
            entry.bytes = bytes
            entry.took = now - entry.began
            state.entries[mark.index] = .now(entry)
        }
    }

    /// Notes something that is over and took some time, or none.
    public func note(
        _ step: Entry.Step, _ subject: String, peer: String = "", _ outcome: String,
        succeeded: Bool, took: Duration = .zero
    ) {
        let entry = Entry(
            step: step, subject: subject, peer: peer, outcome: outcome, succeeded: succeeded,
            status: nil, bytes: 0, began: max(elapsed - took, .zero), took: took)
        _ = state.withLock { $0.append(.now(entry)) }
    }

    /// The same of a call, whose texts are made when the trace is read. What they are made of is
    /// kept until then, so it should be small.
    func note(
        _ call: Call, peer: @autoclosure @escaping @Sendable () -> String = "",
        _ outcome: @autoclosure @escaping @Sendable () -> String, succeeded: Bool,
        took: Duration = .zero
    ) {
        let began = max(elapsed - took, .zero)
        let make: @Sendable () -> Entry = {
            Entry(
                step: .call, subject: call.url, peer: peer(), outcome: outcome(),
                succeeded: succeeded, status: nil, bytes: 0, began: began, took: took)
        }
        _ = state.withLock { $0.append(.whenRead(make)) }
    }
}

extension Trace: CustomStringConvertible {
    /// One line for each entry.
    public var description: String {
        let rest = omitted
        let text = Self.text(of: entries)
        return rest == 0 ? text : text + "\n  … and \(rest) more"
    }

    /// One line for each entry: when, how long, what, who, what came of it.
    public static func text(of entries: [Entry]) -> String {
        entries.map { "  " + $0.description }.joined(separator: "\n")
    }
}

extension Trace.Entry: CustomStringConvertible {
    public var description: String {
        var line = "\(began.wholeMilliseconds) ms +\(took.wholeMilliseconds) ms "
        line += "\(step.rawValue) \(subject)"
        if !peer.isEmpty { line += " from \(peer)" }
        line += ": \(outcome)"
        if let status { line += " (status \(status))" }
        if bytes > 0 { line += ", \(bytes) bytes" }
        return line
    }
}

extension Duration {
    /// In milliseconds, without what is left over.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
