// Measures a connection between two processes of this program.
//
// Usage: peer-bench serve
//        peer-bench dial ADDRESS noise|tls BYTES
//        peer-bench hold ADDRESS COUNT
//
// The first prints its address and answers until its standard input ends. The second sends BYTES
// bytes, receives as many, and prints seconds and its own processor time for each direction. The
// third makes COUNT connections, each as another peer, says so, and holds them until its standard
// input ends.

import CMimalloc
import Connections
import Glibc
import Multiformats
import NIOCore
import NIOPosix
import Transports

/// The processor time that this process has used, in seconds.
func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
}

let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

func makeTransport(_ security: [SecurityProtocol]) throws -> Transport {
    var options = TransportOptions(identity: .generateEd25519(), protocols: [Perf.name])
    options.security = security
    return try Transport(options, group: group) { peer, stream, _ in
        Perf.serve(stream, on: peer.eventLoop)
    }
}

let arguments = CommandLine.arguments.dropFirst()
if arguments.first == "serve" {
    let transport = try makeTransport([.noise, .tls])
    let listener = try await transport.listen(on: Multiaddr(text: "/ip4/127.0.0.1/tcp/0")) { _ in }
    print("\(listener.address)/p2p/\(transport.peer)")
    fflush(nil)
    while readLine() != nil {}
    print("served with \(processorTime()) s of processor time")
} else if arguments.count == 4, let size = UInt64(arguments[4]) {
    let transport = try makeTransport([arguments[3] == "tls" ? .tls : .noise])
    let start = ContinuousClock().now
    let peer = try await transport.dial(Multiaddr(text: arguments[2]))
    print("dial: \(seconds(ContinuousClock().now - start)) s")
    _ = try await Perf.measure(peer, upload: 0, download: 1)
    print("first byte: \(seconds(ContinuousClock().now - start)) s")
    for (name, upload, download) in [("upload", size, 0), ("download", 0, size)] {
        let before = processorTime()
        let times = try await Perf.measure(peer, upload: upload, download: download)
        // What is still in the buffers after an upload counts as well.
        let total = seconds(times.upload) + seconds(times.download)
        let rate = Double(size) / total / 1e6
        print("\(name): \(total) s, \(rate) MB/s, \(processorTime() - before) s of processor time")
    }
    peer.close()
} else if arguments.count == 3, arguments.first == "hold", let count = Int(arguments[3]) {
    var peers: [PeerConnection] = []
    for _ in 0..<count {
        let transport = try makeTransport([.tls])
        peers.append(try await transport.dial(Multiaddr(text: arguments[2])))
    }
    print("holding \(peers.count)")
    fflush(nil)
    while readLine() != nil {}
    for peer in peers { peer.close() }
} else {
    print("usage: peer-bench serve | dial ADDRESS noise|tls BYTES | hold ADDRESS COUNT")
    exit(2)
}
