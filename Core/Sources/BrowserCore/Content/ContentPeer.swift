// What a page is in the mesh: connections over channels that the page owns (WebSockets), the
// exchange of blocks over them, and what is being read. The protocols are the machines of
// `Connections`, `Peering` and `Exchange`; here is only what brings them together.
//
// After every call, drain ``nextEvent()``, and ``transmit(on:)`` for every channel; then call
// ``advance(to:)`` no later than ``deadline``.

import Connections
import Cryptography
import Exchange
import IPLD
import Multiformats
import Peering
import Wire

/// A page as a peer.
final class ContentPeer {
    /// What has happened.
    enum Event {
        /// A connection is there, and its peer has proven who it is.
        case ready(UInt32, PeerID)
        /// A connection is over; its channel is to be closed when what is left has been sent.
        case ended(UInt32, reason: String)
        /// What a reading found: so much content, of which these bytes come, and whether it is the
        /// index.html of the directory that was asked for.
        case found(UInt32, size: UInt64, range: Range<UInt64>, isIndex: Bool)
        /// The next bytes of a reading.
        case bytes(UInt32, ArraySlice<UInt8>)
        case finished(UInt32)
        /// The names in the folder that a reading found, each with a slash after it.
        case listed(UInt32, [UInt8])
        case failed(UInt32, ReadingFault)
        /// What became of a peer that was asked for what a reading wants.
        case news(UInt32, PeerID, BlockExchange.News)
        /// So many bytes of blocks came from a peer, for a reading (0: it is over).
        case arrived(UInt32, PeerID, byteCount: Int)
        /// A peer was given so many bytes of blocks.
        case gave(PeerID, byteCount: Int)
        /// Something has happened to the streams of the page's own protocols.
        case page(PageStreamEvent)
        /// What is to be done about an association with another page that is being made.
        case signal(UInt64, SignalStep, [UInt8])
        /// What a name leads to.
        case named(UInt32, IPNSRecord)
        /// Nobody has a valid record of a name: whether one that does not hold was sent, and what
        /// became of whoever was asked, in lines.
        case unnamed(UInt32, hasLie: Bool, [UInt8])
    }

    /// Why a reading failed.
    enum ReadingFault {
        case content(Reading.Failure)
        case unavailable(CID, WantTable.Failure)
    }

    /// How many channels there may be at a time, those that are being opened among them.
    static let maxChannels = 64
    /// How many readings there may be at a time.
    static let maxReadings = 256

    let identity: PrivateKey
    let peer: PeerID
    var options: ConnectionOptions
    var channels = [UInt32: PageChannel]()
    /// Their numbers in the order in which they came.
    var channelOrder: [UInt32] = []
    var exchange: BlockExchange
    var identify: Identify
    var ping: Ping
    /// Who waits for a stream that is being opened: the machine and its own number.
    var requests = [UInt64: (machine: Machine, number: UInt64)]()
    private var nextRequest: UInt64 = 0
    var cache: BlockCache
    var readings = [UInt32: OpenReading]()
    var readingOrder: [UInt32] = []
    /// How many peers are being dialled, and the sessions that wait for what comes of that.
    var dialling = 0
    var searching: [WantTable.SessionID] = []
    /// What the page is adding.
    private var puttings = [UInt32: Putting]()
    /// Blocks that are being read from disk, and how many ever were. What readings may ask for
    /// bounds them.
    var loads: [DiskLoad] = []
    var loadCount: UInt32 = 0
    /// Blocks that are asked for elsewhere than at peers, and how many ever were. What readings may
    /// ask for bounds them, too.
    var elsewhere: [ElsewhereOrder] = []
    var elsewhereCount: UInt32 = 0
    /// Blocks that the browser hashes, and how many it was ever given. What streams may receive
    /// bounds them.
    var toHash: [HashOrder] = []
    var hashCount: UInt32 = 0
    /// Has the browser hash bytes, and tell of it by ``hashed(_:_:now:)``; false if it cannot.
    let hash: (UInt32, ArraySlice<UInt8>) -> Bool
    var events = BoundedQueue<Event>(limit: 1 << 17)
    /// Channels whose connections have ended, until what is left has been sent.
    var leaving: [PageChannel] = []
    /// Whether peers are given what lies in the cache.
    var isServing = false
    /// How many bytes of blocks came, and how many were given to peers.
    var traffic = (fetched: UInt64(0), served: UInt64(0))

    /// The time that was told last.
    private(set) var lastTime = Instant(nanoseconds: 0)

    /// The protocols that the page brings itself.
    var pageProtocols = [ProtocolName: PageProtocol]()
    /// Messages of these that the page is not told of yet.
    var untold = UntoldMessages()
    /// The newest blocks that the page has made, and their bytes, of which those beyond so small a
    /// share of the memory may go.
    var made = BoundedQueue<(hash: Multihash, byteCount: Int)>(limit: 4_096)
    var madeBytes = 0
    static let madeShare = 4
    /// What has been read or added last, of which other pages are told.
    var roots: [Multihash] = []
    /// How it meets other pages, if it does.
    var visitors: Visitors?
    /// What is known of names, if any was asked for.
    var names: Names?
    /// The number of the next call to another page when there are visitors again.
    var nextCall: UInt64 = 1

    /// Whose streams are opened; `page` is whatever brings protocols of its own.
    enum Machine { case exchange, identify, ping, meeting, relays, signaling, names, page }

    /// The protocols that other peers may open streams with.
    static let protocols =
        [WeftLimits.protocolName] + BitswapVersion.protocolNames + [
            PeerProtocols.identify, PeerProtocols.identifyPush, PeerProtocols.ping,
        ]
    /// Those that nobody is told of: relays use them, when the page has asked for it.
    static let silentProtocols = [PeerProtocols.relayStop]

    /// A page with a secret of 64 random bytes: the seed of its identity, and its Noise key.
    init(
        secret: [UInt8], agent: [UInt8], cacheLimit: Int,
        hash: @escaping (UInt32, ArraySlice<UInt8>) -> Bool
    ) throws(NoiseFault) {
        self.hash = hash
        do throws(SigningError) {
            identity = try PrivateKey(ed25519Seed: Array(secret[..<32]))
        } catch {
            throw .unsupported
        }
        let noise = try NoiseIdentity(identity, staticKey: Array(secret[32...]))
        peer = noise.peer
        var options = ConnectionOptions(
            identity: noise, protocols: Self.protocols + Self.silentProtocols)
        options.limits.windowGrowth = 32 << 20
        self.options = options
        var limits = BlockExchange.Limits()
        limits.table.room = 8 << 20
        exchange = BlockExchange(limits: limits)
        var own = IdentifyMessage()
        own.publicKey = identity.publicKey
        own.protocols = Self.protocols
        own.protocolVersion = Array("ipfs/0.1.0".utf8)
        own.agentVersion = agent
        identify = Identify(own: own)
        ping = Ping(seed: 0)
        cache = BlockCache(limit: cacheLimit)
    }

    // MARK: Adding

    /// The next bytes of what the page adds. Returns false if there is no room for it.
    func put(_ number: UInt32, _ bytes: RawSpan, now: Instant) -> Bool {
        var putting = puttings.removeValue(forKey: number) ?? Putting()
        var blocks: [EncodedBlock] = []
        putting.add(bytes) { blocks.append($0) }
        let hasRoom = keep(blocks, of: &putting, now: now)
        if hasRoom { puttings[number] = putting }
        settle(now: now)
        return hasRoom
    }

    /// Ends what the page adds; answers its root, or nil if there was no room for it.
    func endPutting(_ number: UInt32, now: Instant) -> CID? {
        guard var putting = puttings.removeValue(forKey: number) else { return nil }
        var blocks: [EncodedBlock] = []
        let root = putting.finish { blocks.append($0) }
        let hasRoom = keep(blocks, of: &putting, now: now)
        if hasRoom { share(root) }
        settle(now: now)
        return hasRoom ? root : nil
    }

    /// Ends what the page adds before its end.
    func cancelPutting(_ number: UInt32) {
        guard let putting = puttings.removeValue(forKey: number) else { return }
        for hash in putting.pinned { cache.unpin(hash) }
    }

    /// Keeps blocks of what the page adds; nothing of it if there is no room for them.
    private func keep(
        _ blocks: [EncodedBlock], of putting: inout Putting, now: Instant
    ) -> Bool {
        for block in blocks {
            guard cache.pin(block.cid.hash, block.bytes) else {
                for hash in putting.pinned { cache.unpin(hash) }
                return false
            }
            putting.pinned.append(block.cid.hash)
            if isServing { exchange.stored(block.cid.hash, byteCount: block.bytes.count) }
        }
        return true
    }

    func makeRequest(_ machine: Machine, _ number: UInt64) -> UInt64 {
        nextRequest += 1
        requests[nextRequest] = (machine, number)
        return nextRequest
    }

    // Not inlined: it is called in many places.
    @inline(never)
    func tell(_ event: Event) {
        // Readings, connections and what is told of each at a time are bounded far below this, and
        // without one of its pieces a file would be another one.
        let hasRoom = events.append(event)
        precondition(hasRoom, "more has happened than can")
    }

    /// What has happened next.
    func nextEvent() -> Event? {
        let event = events.popFirst()
        if case .page(.stream(.message(_, let bytes)))? = event { untold.remove(bytes.count) }
        return event
    }

    /// When ``advance(to:)`` is to be called next.
    var deadline: Instant? {
        var next = exchange.deadline.earlier(identify.deadline).earlier(ping.deadline)
            .earlier(names?.deadline)
        if let visitors { next = next.earlier(deadline(of: visitors)) }
        for number in channelOrder {
            next = next.earlier(channels[number]?.deadline)
        }
        return next
    }

    /// Does what is due.
    func advance(to now: Instant) {
        exchange.advance(to: now)
        identify.advance(to: now)
        ping.advance(to: now)
        if let visitors { advance(visitors, to: now) }
        if let names { names.fetch.advance(to: now) }
        for number in channelOrder {
            guard let channel = channels[number] else { continue }
            do throws(ConnectionError) {
                try channel.advance(to: now)
            } catch {
                end(channel, because: error.description, now: now)
            }
            if channel.presence != nil { attend(to: channel, now: now) }
        }
        settle(now: now)
    }

    /// Finds out whether the peer of a channel is there, if it is time.
    @inline(never)
    private func attend(to channel: PageChannel, now: Instant) {
        guard let peer = channel.peer else { return }
        switch channel.presence?.advance(to: now) {
        case .ask: _ = ping.ping(peer, now: now)
        case .leave: end(channel, because: "the peer has gone silent", now: now)
        case nil: break
        }
    }

    /// A peer that has answered, or could not be asked, is not silent, on whichever of its
    /// channels.
    @inline(never)
    private func take(_ event: Ping.Event, now: Instant) {
        let peer: PeerID
        switch event {
        case .answered(_, let asked, _), .failed(_, let asked, .overLimit): peer = asked
        case .failed: return
        }
        for number in channelOrder where channels[number]?.peer == peer {
            channels[number]?.presence?.heard(now: now)
        }
    }

    /// Carries out what the machines want, until they want nothing more.
    func settle(now: Instant) {
        lastTime = now
        var isBusy = true
        while isBusy {
            isBusy = false
            for number in channelOrder {
                guard let channel = channels[number] else { continue }
                while let event = channel.nextEvent() {
                    take(event, of: channel, now: now)
                    isBusy = true
                }
                if channel.carrier != nil, carry(channel, now: now) { isBusy = true }
            }
            while let order = exchange.nextOrder(now: now) {
                carryOut(order, now: now)
                isBusy = true
            }
            while let event = exchange.nextEvent() {
                take(event, now: now)
                isBusy = true
            }
            while let order = identify.nextTransmit() {
                carryOut(order, of: .identify, now: now)
                isBusy = true
            }
            while let event = identify.nextEvent() { take(event) }
            while let order = ping.nextTransmit() {
                carryOut(order, of: .ping, now: now)
                isBusy = true
            }
            while let event = ping.nextEvent() { take(event, now: now) }
            if let visitors, settle(visitors, now: now) { isBusy = true }
            if let names, settle(names, now: now) { isBusy = true }
        }
    }
}
