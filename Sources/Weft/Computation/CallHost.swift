// The host of one activation: the calls that it makes and the content that it reads.

import BlockStore
import Compute
import IPLD
import Multiformats
import NIOCore
import Synchronization
import WasmEngine

/// A host that knows what its activation called and read.
protocol ActivationHost: ContractHost {
    /// How many activations there are from the outermost one to this, both counted.
    var depth: Int { get }
    /// What it has called and read.
    var seen: Seen { get }
    /// Notes that content is read.
    func noteRead(_ cid: CID)
}

/// What an activation has called and read so far.
struct Seen: Sendable {
    private(set) var children: [CID] = []
    private(set) var reads: [CID] = []
    /// What of the answers to its calls rests on the word of peers.
    private(set) var share = PeerShare.none
    private var known: Set<CID> = []

    mutating func read(_ cid: CID) {
        if known.insert(cid).inserted { reads.append(cid) }
    }

    mutating func call(_ record: CID, _ share: PeerShare = .none) {
        children.append(record)
        if !share.isNone { self.share = self.share + share }
    }
}

/// The host of an activation whose calls are made.
final class CallHost: ActivationHost {
    private let run: CallRun
    private let contract: CID
    private let control: RunControl
    let depth: Int
    private let state = Mutex(Seen())
    /// How many calls it has begun.
    private let begun = Atomic<Int>(0)
    /// The memory that it holds beside its instance's.
    private let held = Atomic<Int>(0)

    /// The host of an activation of a contract.
    init(_ run: CallRun, _ contract: CID, _ control: RunControl, depth: Int) {
        self.run = run
        self.contract = contract
        self.control = control
        self.depth = depth
    }

    var seen: Seen { state.withLock { $0 } }

    func noteRead(_ cid: CID) { state.withLock { $0.read(cid) } }

    func hold(_ bytes: Int) throws {
        try run.computation.memory.hold(Int64(bytes))
        held.add(bytes, ordering: .relaxed)
    }

    /// An answer, which is held as long as the activation can read it.
    fileprivate func holding(_ answer: ContractAnswer) throws -> ContractAnswer {
        if case .bytes(let bytes) = answer.body, bytes.readableBytes > 0 {
            try hold(bytes.readableBytes)
        }
        return answer
    }

    /// Gives back what it holds: its activation is over.
    func letGo() { run.computation.memory.letGo(Int64(held.exchange(0, ordering: .relaxed))) }

    func begin(_ fetch: ContractFetch) throws -> any PendingAnswer {
        try control.checkMayBlock()
        guard let gas = fetch.gas else { return try read(fetch) }
        let call = try run.call(fetch, gas: gas, of: contract, control)
        try run.content.admit(call.contract)
        if let known = run.known(call) {
            return Answered { try self.answer(.result(known, isFresh: false)) }
        }
        let place = begun.add(1, ordering: .relaxed).oldValue
        let child = try run.start(call, depth: depth + 1, place: place)
        return PendingCall(child, self, control)
    }

    /// Begins to read content.
    private func read(_ fetch: ContractFetch) throws -> any PendingAnswer {
        guard let (root, path) = fetch.content else { throw ContractMisuse() }
        noteRead(root)
        let control = RunControl(within: control)
        let work: @Sendable () -> Result<ContractAnswer, any Error> = { [run] in
            Result { try run.content.answer(root, path, control) }
        }
        // What is here the thread that asks for it finds as soon as another could.
        let isHere = run.computation.store.isAtHand(root.hash)
        let job = isHere ? Job(work) : run.line.submit(work)
        return Pending(job, self, control)
    }

    /// The answer to a call that the activation made, which is noted in the order of its asking.
    fileprivate func answer(_ end: CallEnd) throws -> ContractAnswer {
        if case .result(let result, _) = end {
            state.withLock { $0.call(result.cid, result.share) }
        }
        return try holding(run.content.answer(end, control))
    }
}

extension ContractFetch {
    /// The content that is asked for; nil if that is no content by its hash.
    var content: (root: CID, path: [String])? {
        guard verb == "GET" || verb == "HEAD", body.readableBytes == 0,
            url.utf8.starts(with: "ipfs://".utf8),
            case .content(let path, _)? = try? FetchURL(url), let root = try? CID(text: path.root)
        else { return nil }
        return (root.v1, path.segments)
    }
}

extension CallRun {
    /// The call that a contract asks for, which may be of itself.
    func call(
        _ fetch: ContractFetch, gas: Int64, of contract: CID, _ control: RunControl
    ) throws -> Call {
        let size = fetch.body.readableBytes
        let body: CallBody
        if size > CallLimits.maxInlineBytes {
            let memory = computation.memory
            try memory.hold(Int64(size))
            defer { memory.letGo(Int64(size)) }
            body = .content(try add(fetch.body, control))
        } else {
            body = .inline([UInt8](buffer: fetch.body))
        }
        let isOwn = fetch.url.utf8.first == UInt8(ascii: "/")
        do throws(CallFault) {
            var headers = CallHeaders()
            for header in fetch.headers { try headers.set(header.name, header.value) }
            return try Call(
                url: isOwn ? "weft://\(contract)\(fetch.url)" : fetch.url, method: fetch.verb,
                headers: headers, body: body, gas: UInt64(gas))
        } catch {
            throw ContractMisuse()
        }
    }
}

/// The answer to a call that somebody else may want too.
private final class PendingCall: PendingAnswer {
    private let child: CallChild
    private let host: CallHost
    private let hasLeft = Atomic(false)
    /// What ends the watch for that.
    private let watches = Mutex<[@Sendable () -> Void]>([])

    /// - Parameter control: that of the activation that wants it, which leaves it when it is told
    ///   to stop: the call itself ends with the last that wants it.
    init(_ child: CallChild, _ host: CallHost, _ control: RunControl) {
        self.child = child
        self.host = host
        let watching = control.onCancel { [weak self] in self?.abandon() }
        watches.withLock { $0 = watching }
    }

    func value() throws -> ContractAnswer {
        defer { abandon() }
        return try host.answer(child.value())
    }

    func abandon() {
        if !hasLeft.exchange(true, ordering: .relaxed) { child.leave() }
        let watching = watches.withLock { watches in
            defer { watches = [] }
            return watches
        }
        for forget in watching { forget() }
    }
}

/// An answer that was there at once.
final class Answered: PendingAnswer {
    private let answer: @Sendable () throws -> ContractAnswer

    init(_ answer: @escaping @Sendable () throws -> ContractAnswer) {
        self.answer = answer
    }

    func value() throws -> ContractAnswer { try answer() }
    func abandon() {}
}

/// An answer that a worker, or the thread that asks for it, brings.
private final class Pending: PendingAnswer {
    private let job: Job<Result<ContractAnswer, any Error>>
    private let host: CallHost
    private let control: RunControl

    init(
        _ job: Job<Result<ContractAnswer, any Error>>, _ host: CallHost, _ control: RunControl
    ) {
        self.job = job
        self.host = host
        self.control = control
    }

    func value() throws -> ContractAnswer { try host.holding(job.value().get()) }
    func abandon() { control.cancel() }
}
