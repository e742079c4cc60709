// Who may use the dashboard: whoever was invited over the socket of the repository, which is its
// owner's alone. An invitation stands in a URL, which browsers and terminals remember, so it is
// good for one use; the key that it is exchanged for stands in no URL. What else runs on the
// machine may see the URL all the same, as a program's argument: when an invitation comes a second
// time, one of the two was a thief, and the key that the first got is taken back.

import Cryptography
import Multiformats
import Synchronization
import Wire

/// The invitations and keys of a dashboard. They end with the program.
final class DashboardKeys: Sendable {
    /// How long an invitation may wait.
    static let patience = Duration.seconds(600)
    /// How long a key lasts after it was used last.
    static let lifetime = Duration.seconds(12 * 3600)
    /// How many of each there are; the oldest make room.
    static let most = 16
    /// The longest text that can be one of them.
    static let maxLength = 64

    /// What is known of one: its hash alone, so that neither memory nor the time that looking for
    /// it takes tells the text.
    private struct Entry {
        let hash: [UInt8]
        var end: ContinuousClock.Instant
        /// The hash of the key that an invitation was exchanged for.
        var key: [UInt8]?
    }

    private struct State {
        var invitations: [Entry] = []
        var keys: [Entry] = []
    }

    private let state = Mutex(State())

    /// A new invitation.
    func invite(now: ContinuousClock.Instant = .now) -> String {
        let text = Self.secret()
        state.withLock { state in
            Self.add(text, until: now + Self.patience, to: &state.invitations)
        }
        return text
    }

    /// What became of an invitation.
    enum Entrance: Equatable {
        case key(String)
        /// It has been used before; what it was exchanged for is worth nothing any more.
        case used
        /// It is none, or too old.
        case unknown
    }

    /// Exchanges an invitation for a key.
    func accept(_ invitation: String, now: ContinuousClock.Instant = .now) -> Entrance {
        let hash = Self.hash(of: invitation)
        return state.withLock { state in
            let place = state.invitations.firstIndex { $0.hash == hash && now < $0.end }
            guard let place else { return .unknown }
            if let given = state.invitations[place].key {
                state.keys.removeAll { $0.hash == given }
                return .used
            }
            let key = Self.secret()
            state.invitations[place].key = Self.hash(of: key)
            Self.add(key, until: now + Self.lifetime, to: &state.keys)
            return .key(key)
        }
    }

    /// Whether a text is a key; it lasts longer then.
    func isValid(_ key: some StringProtocol, now: ContinuousClock.Instant = .now) -> Bool {
        guard key.utf8.count <= Self.maxLength else { return false }
        let hash = Self.hash(of: String(key))
        return state.withLock { state in
            guard let place = state.keys.firstIndex(where: { $0.hash == hash && now < $0.end })
            else { return false }
            var entry = state.keys.remove(at: place)
            entry.end = now + Self.lifetime
            // The one that was used last is the last to make room.
            state.keys.append(entry)
            return true
        }
    }

    private static func add(
        _ text: String, until end: ContinuousClock.Instant, to entries: inout [Entry]
    ) {
        if entries.count >= most { entries.removeFirst() }
        entries.append(Entry(hash: hash(of: text), end: end))
    }

    private static func hash(of text: String) -> [UInt8] { SHA256.hash(Array(text.utf8).rawSpan) }

    /// 256 random bits as text.
    private static func secret() -> String {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        return Multibase.base32.encodeBody(bytes)
    }
}
