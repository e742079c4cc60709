// The DHTs: whether there is somebody to ask, and whether they answer.

import NodeCore
import Peering

extension Finding {
    /// Of so many questions of the last lookups less than a quarter being answered is no accident.
    private static let fewestQuestions = 20

    /// How it stands with one DHT, and with joining it; nil for a node that joins by nobody.
    static func dht(_ status: DHTStatus, _ joining: Joining?) -> Finding {
        let isLocal = status.name == PeerProtocols.lanKad
        let subject = isLocal ? "local DHT" : "DHT"
        let role = status.isServer ? "answers others" : "asks others, and answers nobody"
        let size = status.estimatedSize.map { ", of about \(Int($0)) in all" } ?? ""
        var details = lookups(status)
        guard status.peers == 0 else {
            if status.isServer {
                details.append("\(status.providerRecords) records kept for others")
            }
            let (asked, answered) = questions(status)
            let summary = "\(status.peers) servers are known\(size); this node \(role)."
            guard asked >= fewestQuestions, answered * 4 < asked else {
                return Finding(subject, .good, summary, details: details)
            }
            return Finding(
                subject, .note, summary + " Most of those that it asks do not answer.",
                details: details,
                advice: "The line may be overloaded, or something on the way may hold back "
                    + "connections: a firewall, a provider, or a router that has too many. "
                    + "'weft config set mesh.profile lowpower' asks for fewer.")
        }
        // Alone at home is nothing to worry about.
        if isLocal {
            return Finding(
                subject, .good, "No other node is on the local network.", details: details)
        }
        guard let joining else {
            return Finding(
                subject, .note,
                "The node joins by nobody (mesh.bootstrap), and knows no server "
                    + "of the DHT.", details: details)
        }
        return Finding(
            subject, .problem, "No server of the DHT is known, so nothing can be found there.",
            details: ["joining was tried \(joining.attempts) times, last by \(joining.peers) peers"]
                + [joining.failure].compactMap(\.self) + details,
            advice: "Check that this machine is on the internet, and that mesh.bootstrap names "
                + "peers that are there.")
    }

    /// How many peers the last lookups asked, and how many of them answered.
    private static func questions(_ status: DHTStatus) -> (asked: Int, answered: Int) {
        status.lookups.reduce(into: (asked: 0, answered: 0)) {
            $0.asked += $1.asked
            $0.answered += $1.answered
        }
    }

    /// How the last lookups went.
    private static func lookups(_ status: DHTStatus) -> [String] {
        let all = status.lookups
        guard let age = status.lastLookupAge, !all.isEmpty else { return [] }
        let (asked, answered) = questions(status)
        let middle = all.map(\.duration).sorted()[all.count / 2]
        let late = all.count { $0.end == .timedOut }
        let time = DurationText.text(middle)
        let ago = DurationText.text(.seconds(age.components.seconds))
        return [
            "last \(all.count) lookups: \(answered) of \(asked) peers answered, \(time) in the "
                + "middle, \(late) not done in time; the last one \(ago) ago"
        ]
    }
}
