// The table of all configuration keys: name in the file, type, what it is for, and the field it
// stands for. The documented template, `config get|set|show` and the checks all read this table.

import BlockStore
import Multiformats

/// One key that a configuration file may set.
public struct ConfigurationKey: Sendable {
    /// The section and name, joined by a dot, for example `storage.max`.
    public let name: String
    /// What kind of value it takes, for a person.
    public let expects: String
    /// What it is for; one sentence or two.
    public let summary: String

    /// Whether a running node takes a new value at once.
    public private(set) var isLive = false

    let read: @Sendable (Configuration) -> ConfigurationValue
    /// Takes a value that came from a file or a command line; false if it does not fit.
    let write: @Sendable (inout Configuration, ConfigurationValue) -> Bool

    /// The part before the dot.
    var section: Substring { name.prefix { $0 != "." } }
    /// The part after the dot.
    var leaf: Substring { name.dropFirst(section.count + 1) }

    /// All keys, grouped by section.
    public static let all: [ConfigurationKey] = start + mesh + end

    private static let start: [ConfigurationKey] = [
        .choice(
            "network.mode", \.network,
            "With \"offline\" the node answers from its store alone and makes no connection."),
        .size(
            "storage.max", \.storage.maxBytes, atLeast: StoreOptions.minimumBytes,
            "The most that the store may take on disk. It is never passed."),
        .duration(
            "storage.cache-ttl", \.storage.cacheTTL,
            "How long fetched content is kept and served after its last use. Pins stay."),
        .checked(
            "routing.delegated", \.routing.delegated, "a list of http or https URLs",
            """
            Routing V1 endpoints that are asked who has a piece of content. They learn which \
            content this node looks for; an empty list asks nobody.
            """, isURL),
        .checked(
            "providers.http", \.providers.http, "a list of http or https URLs",
            "Trustless gateways that are always asked for content, whatever routing says.", isURL),
        .checked(
            "gateway.address", \.gateway.address, "host:port or \"\"",
            "Where the HTTP gateway listens; port 0 lets the system choose, \"\" turns it off."
        ) { HostAndPort($0) != nil },
        .list(
            "gateway.subdomain-hosts", \.gateway.subdomainHosts,
            "Host names under which each content root gets an origin of its own."),
        .list(
            "gateway.denylist", \.gateway.denylist,
            "Files in the compact denylist format; what they name is answered with 410 or 451."),
        .text(
            "gateway.certificate", \.gateway.certificate,
            "A PEM file with a certificate chain: the gateway then speaks HTTPS and HTTP/2."),
        .text(
            "gateway.certificate-key", \.gateway.certificateKey,
            "A PEM file with the private key of that certificate."),
        .checked(
            "api.address", \.api.address, "a loopback address as host:port, or \"\"",
            "A loopback address for the local API, besides the socket in the repository."
        ) { HostAndPort($0)?.isLoopback == true },
    ]

    private static let end: [ConfigurationKey] = [
        .text(
            "dns.static", \.dns.staticFile,
            "A file of TXT records, one 'name value' a line, used instead of asking a server."),
        .text(
            "dns.resolver", \.dns.resolver,
            "A DNS-over-HTTPS URL, a server as host:port, or \"system\"."),
        .choice(
            "reprovide.strategy", \.reprovide.strategy,
            """
            What the DHTs are told of what is here: "all" blocks, all that is "pinned", or the \
            "roots" of pins and of what was fetched.
            """),
        .duration(
            "reprovide.interval", \.reprovide.interval, atLeast: .seconds(60),
            "How often all of it is announced again; others forget it after 48 hours."),
        .duration(
            "fetch.deadline", \.fetch.deadline, atLeast: .milliseconds(100),
            "How long a fetch waits for the next byte before it fails."),
        .count(
            "fetch.max-providers", \.fetch.maxProviders, 1...64,
            "The most providers that one fetch talks to at a time."),
        .count(
            "fetch.requests-per-provider", \.fetch.requestsPerProvider, 1...64,
            "The most requests that are open at one provider."),
        .choice(
            "compute.contracts", \.compute.contracts,
            "Whether contracts run here. If not, peers are asked to run what is called."),
        .choice(
            "compute.serve", \.compute.serve,
            "Whether contracts run for peers, too, who then owe this node as much."),
        .count(
            "compute.price", \.compute.price, 0...4_294_967_295,
            "What peers owe for a thousand units of gas, in credits."),
        .count(
            "compute.slots", \.compute.slots, 0...1_024,
            "How many calls of peers run at a time; 0 for one on each core."),
        .checked(
            "compute.offer", \.compute.offer, "a list of CIDs of contracts",
            "The contracts that run for peers, by their CIDs; an empty list for any."
        ) { (try? CID(text: $0)) != nil },
        .count(
            "compute.gas", \.compute.gas, 1...1 << 48,
            "The gas of a call that does not say how much it may use (weft-gas)."),
        .duration(
            "compute.time", \.compute.time, atLeast: .milliseconds(10),
            "How long a call may take."),
        .size(
            "compute.memory", \.compute.memory, atLeast: 1 << 20,
            "The memory of all running contracts together."),
        .size(
            "compute.output", \.compute.output, atLeast: 64 << 10,
            "The most bytes that a contract may answer."),
        .size(
            "compute.input", \.compute.input, atLeast: 64 << 10,
            "The most bytes of content that a call may read, and of a request's body."),
        .size(
            "compute.written", \.compute.written, atLeast: 64 << 10,
            "The most bytes of long answers and bodies that a call writes, with all it calls."),
        .count(
            "compute.calls", \.compute.calls, 1...1_048_576,
            "How many contracts one call may start, those that they start among them."),
        .duration(
            "ipns.lifetime", \.ipns.lifetime, atLeast: .seconds(60),
            "How long a published name is valid."),
        .duration(
            "ipns.ttl", \.ipns.ttl,
            "How long others may use a published name before they look again."),
        .duration(
            "ipns.republish", \.ipns.republish, atLeast: .seconds(60),
            "How often published names are renewed while the node runs."),
    ]

    /// The key of this name.
    public static func named(_ name: String) throws(ConfigurationError) -> ConfigurationKey {
        if let key = all.first(where: { $0.name == name }) { return key }
        throw .unknownKey(name, nearest: nearest(to: name))
    }

    /// The same key, as one that a running node takes a new value of at once.
    var live: ConfigurationKey {
        var key = self
        key.isLive = true
        return key
    }

    /// The known name with the fewest edits from `name`, if it is near enough to be meant.
    static func nearest(to name: String) -> String? {
        let ranked = all.map { (name: $0.name, distance: distance(name, $0.name)) }
        guard let best = ranked.min(by: { $0.distance < $1.distance }),
            best.distance <= max(2, name.utf8.count / 3)
        else { return nil }
        return best.name
    }

    /// The Levenshtein distance of two short texts; long ones are cut.
    private static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left.utf8.prefix(64))
        let right = Array(right.utf8.prefix(64))
        var row = Array(0...right.count)
        for (index, byte) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in right.indices {
                let substituted = diagonal + (byte == right[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(substituted, diagonal + 1, row[column] + 1)
            }
        }
        return row[right.count]
    }
}

// The kinds of key.
extension ConfigurationKey {
    typealias Field<Value> = WritableKeyPath<Configuration, Value> & Sendable

    static func size(
        _ name: String, _ field: any Field<UInt64>, atLeast minimum: UInt64 = 0, _ summary: String
    ) -> ConfigurationKey {
        let bound = minimum > 0 ? " of at least \(ByteCount.text(minimum))" : ""
        return ConfigurationKey(
            name: name, expects: "a number of bytes or a size such as \"10GiB\"\(bound)",
            summary: summary,
            read: { .string(ByteCount.text($0[keyPath: field])) },
            write: { configuration, value in
                guard let bytes = ByteCount.parse(value.text), bytes >= minimum else {
                    return false
                }
                configuration[keyPath: field] = bytes
                return true
            })
    }

    static func duration(
        _ name: String, _ field: any Field<Duration>, atLeast minimum: Duration = .zero,
        _ summary: String
    ) -> ConfigurationKey {
        let bound = minimum > .zero ? " of at least \(DurationText.text(minimum))" : ""
        return ConfigurationKey(
            name: name, expects: "a duration such as \"30s\", \"48h\" or \"7d\"\(bound)",
            summary: summary,
            read: { .string(DurationText.text($0[keyPath: field])) },
            write: { configuration, value in
                guard let duration = DurationText.parse(value.text), duration >= minimum else {
                    return false
                }
                configuration[keyPath: field] = duration
                return true
            })
    }

    static func count(
        _ name: String, _ field: any Field<Int>, _ range: ClosedRange<Int>, _ summary: String
    ) -> ConfigurationKey {
        ConfigurationKey(
            name: name,
            expects: "a number from \(range.lowerBound) to \(range.upperBound)",
            summary: summary,
            read: { .integer(Int64($0[keyPath: field])) },
            write: { configuration, value in
                guard let number = Int(value.text), range.contains(number) else { return false }
                configuration[keyPath: field] = number
                return true
            })
    }

    static func text(
        _ name: String, _ field: any Field<String>, _ summary: String
    ) -> ConfigurationKey {
        checked(name, field, "a string", summary) { _ in true }
    }

    static func list(
        _ name: String, _ field: any Field<[String]>, _ summary: String
    ) -> ConfigurationKey {
        checked(name, field, "a list of strings, such as [\"a\", \"b\"]", summary) { _ in true }
    }

    /// A text of which not every one has a meaning.
    static func checked(
        _ name: String, _ field: any Field<String>, _ expects: String, _ summary: String,
        _ isRight: @escaping @Sendable (String) -> Bool
    ) -> ConfigurationKey {
        ConfigurationKey(
            name: name, expects: expects, summary: summary,
            read: { .string($0[keyPath: field]) },
            write: { configuration, value in
                guard case .string(let text) = value, isRight(text) else { return false }
                configuration[keyPath: field] = text
                return true
            })
    }

    /// A list whose items must have a form.
    static func checked(
        _ name: String, _ field: any Field<[String]>, _ expects: String, _ summary: String,
        _ isRight: @escaping @Sendable (String) -> Bool
    ) -> ConfigurationKey {
        ConfigurationKey(
            name: name, expects: expects, summary: summary,
            read: { .list($0[keyPath: field]) },
            write: { configuration, value in
                guard case .list(let items) = value, items.allSatisfy(isRight) else {
                    return false
                }
                configuration[keyPath: field] = items
                return true
            })
    }

    private static func isURL(_ text: String) -> Bool {
        guard let end = text.firstRange(of: "://")?.upperBound else { return false }
        let host = text[end...].prefix { $0 != "/" }
        return ["http://", "https://"].contains(text[..<end].lowercased()) && !host.isEmpty
            && text.utf8.allSatisfy { 0x21...0x7e ~= $0 }
    }

    static func choice<Value: RawRepresentable<String> & CaseIterable & Sendable>(
        _ name: String, _ field: any Field<Value>, _ summary: String
    ) -> ConfigurationKey {
        ConfigurationKey(
            name: name,
            expects: Value.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or "),
            summary: summary,
            read: { .string($0[keyPath: field].rawValue) },
            write: { configuration, value in
                guard case .string(let text) = value, let choice = Value(rawValue: text)
                else { return false }
                configuration[keyPath: field] = choice
                return true
            })
    }
}
