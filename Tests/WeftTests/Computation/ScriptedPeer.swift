// A peer over a real connection that speaks `/weft/call/1` as a test wants it.

import Compute
import Connections
import Multiformats
import NIOCore
import NIOPosix
import NodeCore
import Synchronization
import Testing
import Transports
import Wire

@testable import Weft

/// A peer whose every word a test chooses.
final class ScriptedPeer: Sendable {
    /// What it sends when it is asked, and whether it ends the stream then.
    typealias Script = @Sendable (ScriptedPeer, CallQuestion) -> (replies: [[UInt8]], ends: Bool)

    let key: PrivateKey
    var peer: PeerID { PeerID(key.publicKey) }
    private let transport: Transport
    private let connection = Mutex<PeerConnection?>(nil)

    /// A peer that answers by a script.
    init(_ script: @escaping Script = { _, _ in ([], false) }) throws {
        key = PrivateKey.generateEd25519()
        let options = TransportOptions(identity: key, protocols: [CallProtocol.name])
        let box = Box()
        transport = try Transport(options, group: MultiThreadedEventLoopGroup.singleton) {
            _, stream, name in
            guard name == CallProtocol.name, let peer = box.peer else { return nil }
            var unread: [UInt8] = []
            return { notice in
                guard case .data(let bytes) = notice else { return }
                stream.consume(bytes.count)
                unread += bytes
                while let message = Self.message(&unread) {
                    let commands = (try? CallCommand.decode(message.rawSpan)) ?? []
                    for case .ask(let question) in commands {
                        let (replies, ends) = script(peer, question)
                        for reply in replies { _ = stream.write(Self.framed(reply)[...]) }
                        if ends { stream.finish() }
                    }
                }
            }
        }
        box.set(self)
    }

    /// What a stream knows of the peer whose it is.
    private final class Box: Sendable {
        private struct Reference { weak var peer: ScriptedPeer? }
        private let reference = Mutex(Reference())
        var peer: ScriptedPeer? { reference.withLock { $0.peer } }
        func set(_ peer: ScriptedPeer) { reference.withLock { $0.peer = peer } }
    }

    /// Connects to a node.
    func connect(to node: Node) async throws {
        let anywhere = try Multiaddr(text: "/ip4/127.0.0.1/tcp/0")
        if node.mesh.addresses.isEmpty { _ = try await node.mesh.listen(on: [anywhere]) }
        let address = try #require(node.mesh.addresses.first)
        let made = try await transport.dial(address, peer: node.peer)
        connection.withLock { $0 = made }
        try await JoinTests.until("it is connected") {
            try await node.mesh.peers().contains { $0.peer == self.peer }
        }
    }

    /// A stream to ask the node on.
    func open() async throws -> Asking {
        let made = try #require(connection.withLock { $0 })
        return Asking(try await made.open([CallProtocol.name]))
    }

    func close() { connection.withLock { $0 }?.close() }

    static func framed(_ message: [UInt8]) -> [UInt8] {
        var framed: [UInt8] = []
        framed.appendVarint(UInt64(message.count))
        return framed + message
    }

    /// The first whole message of what has come.
    static func message(_ unread: inout [UInt8]) -> [UInt8]? {
        var (length, shift, place) = (0, 0, 0)
        while place < unread.count {
            length |= Int(unread[place] & 0x7f) << shift
            shift += 7
            place += 1
            guard unread[place - 1] < 0x80 else { continue }
            guard unread.count >= place + length else { return nil }
            defer { unread.removeFirst(place + length) }
            return Array(unread[place..<place + length])
        }
        return nil
    }

    // MARK: Answers

    /// A header that answers a question with a record, but for what is changed of it.
    func header(
        _ question: CallQuestion, _ record: CallRecord,
        _ change: (CallHeader) -> CallHeader = { $0 }
    ) -> CallHeader {
        change(
            CallHeader(
                call: record.call.cid, nonce: question.nonce,
                commitment: Commitment.make(salt: Self.salt, record: record), gas: record.gas,
                price: min(.usual, question.maxPrice)))
    }

    static let salt = [UInt8](repeating: 9, count: CallProtocol.saltBytes)

    /// A signed header as a message.
    func signed(
        _ question: CallQuestion, _ header: CallHeader, by signer: PrivateKey? = nil
    ) -> [UInt8] {
        let hashes = [Multihash.sha2_256(of: header.encoded.rawSpan).digest]
        let signature = (try? (signer ?? key).sign(SignedHeader.message(hashes))) ?? []
        return CallReply.headers([(question.id, header)], signature: signature, queue: .zero)
            .encoded
    }

    /// What a header commits to, as a message.
    func reveal(_ question: CallQuestion, _ record: CallRecord) -> [UInt8] {
        CallReply.reveal(id: question.id, salt: Self.salt, result: record.result).encoded
    }

    /// A whole answer, which fits in itself.
    func answer(_ question: CallQuestion, _ record: CallRecord) -> [[UInt8]] {
        [signed(question, header(question, record)), reveal(question, record)]
    }

    /// A record that says what it likes.
    static func record(_ call: Call, _ text: String, gas: UInt64 = 1_000) throws -> CallRecord {
        try CallRecord(
            call, outcome: .ok, output: CallOutput(body: .inline(Array(text.utf8))), gas: gas,
            ownGas: gas)
    }
}

/// A stream on which a node is asked.
final class Asking: Sendable {
    private let stream: Transports.ByteStream
    private let unread = Mutex<[UInt8]>([])
    /// What came in one message with what was looked for, behind it.
    private let unheard = Mutex<ArraySlice<CallReply>>([])

    init(_ stream: Transports.ByteStream) { self.stream = stream }

    func say(_ commands: [CallCommand]) async throws {
        let message = commands.flatMap { $0.encoded }
        try await stream.write(ScriptedPeer.framed(message)[...])
    }

    /// Asks for a call.
    func ask(_ id: UInt64, _ call: Call, patience: Duration = .seconds(30)) async throws {
        let nonce = [UInt8](
            repeating: UInt8(truncatingIfNeeded: id), count: CallProtocol.nonceBytes)
        let question = CallQuestion(
            id: id, call: call, nonce: nonce, maxPrice: .usual, patience: patience)
        try await say([.ask(question)])
    }

    /// What the node says next; nil if it has ended the stream.
    func hear() async throws -> ArraySlice<CallReply>? {
        let rest = unheard.withLock { unheard in
            defer { unheard = [] }
            return unheard
        }
        if !rest.isEmpty { return rest }
        while true {
            if let message = unread.withLock({ ScriptedPeer.message(&$0) }) {
                return try CallReply.decode(message.rawSpan)[...]
            }
            guard let bytes = try? await stream.read() else { return nil }
            unread.withLock { unread in for part in bytes { unread += part } }
        }
    }

    /// What the node says until one of it is what is looked for.
    func hear<Found>(until find: (CallReply) -> Found?) async throws -> Found? {
        while var replies = try await hear() {
            while let reply = replies.popFirst() {
                guard let found = find(reply) else { continue }
                unheard.withLock { $0 = replies }
                return found
            }
        }
        return nil
    }

    func reset() { stream.reset() }
}
