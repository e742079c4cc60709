// Measures calls between processes of this program, on loopback.
//
// Usage: calls-bench serve REPOSITORY SLOTS FILE… [-- CALL]
//        calls-bench remote REPOSITORY ADDRESS URL COUNT
//        calls-bench spread REPOSITORY SLOTS URL WARM-URL FILE… -- ADDRESS…
//
// The first adds the files, runs a call of the first of them about the last for warming up, as in
// `count?of=`, prints its address and their CIDs on one line, and answers until its standard input
// ends. The second runs nothing itself: it asks one peer for COUNT calls, each with
// another query, in runs of 50 that take turns with as many round trips of a ping on the same
// connection, then for as many again with 64 at a time. The third runs a call here and on the
// peers that are named, after another one for warming up, and prints how long it took.

import CMimalloc
import Glibc
import HTTPTypes
import Multiformats
import NIOCore
import Weft

func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
}

func configuration(_ change: (inout Configuration) -> Void) -> Configuration {
    var configuration = Configuration()
    configuration.routing.delegated = []
    configuration.providers.http = []
    configuration.mesh.mdns = .off
    configuration.mesh.portMapping = .off
    change(&configuration)
    return configuration
}

/// The middle of some times, in microseconds.
func median(_ times: [Duration]) -> Double {
    times.isEmpty ? 0 : seconds(times.sorted()[times.count / 2]) * 1e6
}

/// Calls a URL; gives how many bytes it answered.
@discardableResult
func call(_ node: Node, _ url: String) async throws -> Int {
    var request = Request(url)
    if let gas = HTTPField.Name("weft-gas") { request.headers[gas] = "1000000000000" }
    let response = try await node.fetch(request)
    guard response.ok else { throw FetchError(.malformed, "\(url): \(response.status)") }
    return try await response.body.collect(upTo: 64 << 20).readableBytes
}

func add(_ files: [String], to node: Node) async throws -> [String] {
    var cids: [String] = []
    for file in files {
        let added = try await node.add([file])
        cids += added.roots.map { "\($0.cid)" }
    }
    return cids
}

/// How many pings or calls follow each other before it is the other's turn.
let runLength = 50

func remote(_ node: Node, _ address: Multiaddr, _ url: String, _ count: Int) async throws {
    let peer = try await node.mesh.connect(to: address).peer
    // Who has just connected has not said yet what it speaks.
    let end = ContinuousClock.now + .seconds(20)
    while (try? await call(node, url + "?warm")) == nil, ContinuousClock.now < end {
        _ = try await node.mesh.ping(peer)
    }
    var pings: [Duration] = []
    var calls: [Duration] = []
    // In runs of some of each: what is left to do after one, such as closing a ping's stream, is
    // its own and not the other's.
    for first in stride(from: 0, to: count, by: runLength) {
        for _ in 0..<runLength {
            let start = ContinuousClock.now
            _ = try await node.mesh.ping(peer)
            pings.append(start.duration(to: .now))
        }
        for number in first..<first + runLength {
            let start = ContinuousClock.now
            try await call(node, "\(url)?\(number)")
            calls.append(start.duration(to: .now))
        }
    }
    print("ping: \(median(pings)) µs")
    print("call: \(median(calls)) µs")
    let width = 64
    let start = ContinuousClock.now
    try await withThrowingTaskGroup { group in
        for lane in 0..<width {
            group.addTask { @concurrent in
                for number in 0..<(count / width) {
                    try await call(node, "\(url)?\(lane).\(number)")
                }
            }
        }
        try await group.waitForAll()
    }
    let time = seconds(start.duration(to: .now))
    print("pipelined: \(Double(count / width * width) / time) calls/s")
}

/// Ends the process, whose threads still run, without taking down what they may use.
func leave() -> Never {
    fflush(nil)
    _exit(0)
}

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.first == "serve", arguments.count >= 3 {
    let node = try await Node.start(
        at: arguments[1], configuration: configuration { $0.compute.slots = Int(arguments[2]) ?? 0 }
    )
    let end = arguments.firstIndex(of: "--") ?? arguments.endIndex
    let cids = try await add(Array(arguments[3..<end]), to: node)
    if let warm = arguments[end...].dropFirst().first, let last = cids.last {
        try await call(node, "weft://\(cids[0])/\(warm)\(last)")
    }
    let listening = try await node.mesh.listen(on: [Multiaddr(text: "/ip4/127.0.0.1/tcp/0")])
    print(([listening[0].description] + cids).joined(separator: " "))
    fflush(nil)
    while readLine() != nil {}
    await node.stop()
    leave()
} else if arguments.first == "remote", arguments.count == 5, let count = Int(arguments[4]) {
    let node = try await Node.start(
        at: arguments[1], configuration: configuration { $0.compute.contracts = .off })
    try await remote(node, Multiaddr(text: arguments[2]), arguments[3], count)
    await node.stop()
    leave()
} else if arguments.first == "spread", let end = arguments.firstIndex(of: "--"), end >= 5 {
    let node = try await Node.start(
        at: arguments[1], configuration: configuration { $0.compute.slots = Int(arguments[2]) ?? 0 }
    )
    _ = try await add(Array(arguments[5..<end]), to: node)
    for address in arguments[(end + 1)...] {
        let peer = try await node.mesh.connect(to: Multiaddr(text: address)).peer
        _ = try await node.mesh.ping(peer)
    }
    try await call(node, arguments[4])
    let start = ContinuousClock.now
    let bytes = try await call(node, arguments[3])
    print("spread: \(seconds(start.duration(to: .now))) s, \(bytes) bytes")
    await node.stop()
    leave()
} else {
    print("usage: calls-bench serve | remote | spread; see its source")
    exit(2)
}
