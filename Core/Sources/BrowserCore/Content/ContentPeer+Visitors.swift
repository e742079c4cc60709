import Connections
import Exchange
import IPLD
import Multiformats
import Peering
import Wire

extension ContentPeer {
    /// Meets other pages from now on.
    func meet(clock: WallClock, now: Instant) {
        guard visitors?.isMeeting != true else { return }
        if visitors == nil { visitors = Visitors(clock: clock, firstCall: nextCall) }
        visitors?.isMeeting = true
        for name in ownProtocols where pageProtocols[name]?.isOffered == true {
            visitors?.guest.serve(with: name)
        }
        for hash in roots where cache.byteCount(of: hash) != nil { visitors?.guest.have(hash) }
        for number in channelOrder {
            if let peer = channels[number]?.peer { visitors?.guest.join(peer) }
        }
        settle(now: now)
    }

    /// Leaves the other pages, and meets none any more.
    func leaveVisitors(now: Instant) {
        guard let visitors else { return }
        visitors.searches.removeAll()
        let calls = visitors.calls.keys.sorted()
        let waiting = visitors.waiting.keys.sorted {
            $0.bytes.lexicographicallyPrecedes($1.bytes)
        }
        for number in channelOrder {
            guard let channel = channels[number] else { continue }
            guard channel.isVisitor || channel.carrier != nil else {
                leaveMeeting(on: channel)
                continue
            }
            channel.close()
            end(channel, because: "other pages are not met any more", now: now)
        }
        for call in calls { tell(.signal(call, .failed, [])) }
        for peer in waiting { unreachable(peer, now: now) }
        searching += readingOrder.compactMap { readings[$0]?.session }
        // What the script still says of an old call is not taken for what it says of a new one.
        nextCall = visitors.signaling.nextNumber
        self.visitors = nil
        endSearch(now: now)
        settle(now: now)
    }

    private func leaveMeeting(on channel: PageChannel) {
        for stream in channel.streams.keys.sorted() {
            switch channel.streams[stream]?.use {
            case .peering(PeerProtocols.meeting), .peering(PeerProtocols.relayHop),
                .peering(PeerProtocols.relayStop), .circuit:
                channel.reset(stream)
                channel.streams[stream] = nil
            default: continue
            }
        }
    }

    // MARK: Who has what

    /// Asks the nodes which pages have a block. Returns whether an answer comes; if not, the page
    /// goes on looking for as long as it reads.
    func look(for hash: Multihash, _ session: WantTable.SessionID, now: Instant) -> Bool {
        guard let visitors else { return false }
        return look(for: hash, session, among: visitors, now: now)
    }

    @inline(never)
    private func look(
        for hash: Multihash, _ session: WantTable.SessionID, among visitors: Visitors, now: Instant
    ) -> Bool {
        let isAsked = visitors.guest.ask(hash, now: now)
        turn(visitors.searches.look(for: hash, session, waits: isAsked), now: now)
        return isAsked
    }

    /// Looks for other pages with what is large, so that they share the work.
    func seek(_ open: OpenReading, size: UInt64, now: Instant) {
        guard !open.isSought, size >= UInt64(Visitors.largeSize), let end = open.reading.end
        else { return }
        open.isSought = true
        _ = look(for: end.hash, open.session, now: now)
    }

    /// Has the nodes asked which pages have what a reading asks its peers for, by its root: one
    /// question is good for all the pictures of a folder. Nothing waits for the answer.
    func glance(_ open: OpenReading, now: Instant) {
        if let visitors, visitors.isMeeting { glance(open, among: visitors, now: now) }
    }

    @inline(never)
    private func glance(_ open: OpenReading, among visitors: Visitors, now: Instant) {
        guard !open.isGlancedFor, !open.isSecret else { return }
        open.isGlancedFor = true
        turn(visitors.glance(for: open.reading.root.hash, open.session, now: now), now: now)
    }

    /// Connects with pages that have a contract, and with such as do for others what this page
    /// brings protocols for, running contracts: either may run this one.
    func seek(_ contract: CID, now: Instant) {
        guard visitors?.isMeeting == true else { return }
        visitors?.call(for: contract.hash, now: now)
        for name in ownProtocols {
            visitors?.call(for: MeetingMessage.topic(of: name), now: now)
        }
        settle(now: now)
    }

    /// Tells the nodes of what has been read.
    func share(_ open: OpenReading) {
        guard !open.isShared, !open.isSecret else { return }
        open.isShared = true
        share(open.reading.root)
        if let end = open.reading.end, end != open.reading.root { share(end) }
    }

    /// Tells the nodes of what the page has.
    func share(_ root: CID) {
        // What the page has let go of is not offered any longer.
        roots.removeAll { $0 == root.hash || cache.byteCount(of: $0) == nil }
        let isKept = cache.byteCount(of: root.hash) != nil
        if isKept {
            if roots.count >= MeetingPlace.maxHashesPerGuest { roots.removeFirst() }
            roots.append(root.hash)
        }
        if let visitors { share(isKept ? root.hash : nil, with: visitors) }
    }

    @inline(never)
    private func share(_ new: Multihash?, with visitors: Visitors) {
        visitors.guest.keep { cache.byteCount(of: $0) != nil }
        guard let new else { return }
        visitors.guest.have(new)
        reserve(for: visitors)
    }

    /// Has the nodes relay to a page that has something to give.
    func reserve() {
        if let visitors { reserve(for: visitors) }
    }

    @inline(never)
    private func reserve(for visitors: Visitors) {
        for place in visitors.guest.welcomes { visitors.reserve(at: place, now: lastTime) }
    }

    private func take(_ event: MeetingGuest.Event, now: Instant) {
        switch event {
        case .welcomed(let place): visitors?.welcomed(at: place, now: now)
        case .found(let hash, let named, let place):
            let peers = named.filter {
                $0 != self.peer && visitors?.liars.contains($0) == false
            }
            let strangers = peers.filter { channel(to: $0) == nil }
            for peer in strangers { visitors?.note(peer, at: place) }
            // Those that are connected already come first.
            let known = peers.filter { channel(to: $0) != nil }
            turn(visitors?.searches.found(known + strangers, for: hash, now: now), now: now)
        case .answered(let hash):
            searching += visitors?.searches.answered(hash) ?? []
            endSearch(now: now)
        }
    }

    private func turn(_ turns: [Searches.Turn]?, now: Instant) {
        var turns = (turns ?? [])[...]
        while let turn = turns.popFirst() {
            if turn.isForCalls, channel(to: turn.peer) == nil {
                switch reach(turn.peer, now: now) {
                case .underWay: break
                case .noRoom:
                    visitors?.searches.postpone(turn.peer)
                    continue
                case .impossible:
                    turns += visitors?.searches.lost(turn.peer, now: now) ?? []
                    continue
                }
            }
            for session in turn.sessions {
                exchange.offer(turn.peer, to: session, as: .provider, now: now)
            }
        }
    }

    /// A page that this one may have turned to is gone. Whoever is wanted may have its place.
    func lost(_ peer: PeerID, now: Instant) {
        turn(visitors?.searches.lost(peer, now: now), now: now)
        turn(visitors?.searches.turn(now: now), now: now)
    }

    // MARK: Reaching

    /// Lets a stream wait until a page is connected that is known to have what is wanted. Returns
    /// false if it cannot be reached.
    func wait(
        _ request: UInt64, _ names: [ProtocolName], for peer: PeerID, now: Instant
    ) -> Bool {
        guard let visitors else { return false }
        return wait(request, names, for: peer, among: visitors, now: now)
    }

    @inline(never)
    private func wait(
        _ request: UInt64, _ names: [ProtocolName], for peer: PeerID, among visitors: Visitors,
        now: Instant
    ) -> Bool {
        switch reach(peer, now: now) {
        case .underWay:
            visitors.waiting[peer]?.append((request, names))
            return true
        case .noRoom: visitors.searches.postpone(peer)
        case .impossible: turn(visitors.searches.lost(peer, now: now), now: now)
        }
        return false
    }

    /// Connects with a node by an address that leads through a peer which is connected: both agree
    /// on an association over that. Returns false if it cannot be.
    func reach(
        _ address: Multiaddr, _ node: PeerID, via relay: PeerID, on channel: UInt32,
        clock: WallClock, now: Instant
    ) -> Bool {
        if visitors == nil { visitors = Visitors(clock: clock, firstCall: nextCall) }
        visitors?.nodes[node] = (channel, address)
        visitors?.note(node, at: relay)
        let isUnderWay = reach(node, now: now) == .underWay
        if !isUnderWay { visitors?.nodes[node] = nil }
        settle(now: now)
        return isUnderWay
    }

    /// What comes of connecting with a page.
    private enum Reach {
        case underWay
        /// Not now, as this page has or begins as many connections as it may.
        case noRoom
        case impossible
    }

    /// Begins to connect with a page, if that is not under way.
    private func reach(_ peer: PeerID, now: Instant) -> Reach {
        guard let place = visitors?.routes[peer], channel(to: peer) == nil else {
            return .impossible
        }
        guard visitors?.waiting[peer] == nil else { return .underWay }
        // When a node is tried again, the page says.
        let isNode = visitors?.nodes[peer] != nil
        guard isNode || visitors?.isResting(peer, calls: false, now: now) == false else {
            return .impossible
        }
        guard channel(to: place) != nil, let purpose = visitors?.purpose(of: peer) else {
            return .impossible
        }
        guard visitorCount < Visitors.maxVisitors,
            visitors?.mayBegin(purpose, now: now) == true
        else { return .noRoom }
        visitors?.waiting[peer] = []
        if let number = visitors?.relays.connect(to: peer, via: place, now: now) {
            visitors?.circuits[number] = peer
        }
        return .underWay
    }

    /// How many pages are connected or being connected.
    private var visitorCount: Int {
        let connected = channelOrder.count { channels[$0]?.isVisitor == true }
        return connected + (visitors?.waiting.count ?? 0) + (visitors?.foreignCalls.count ?? 0)
    }

    /// A page that was to be connected is not going to be.
    private func unreachable(_ peer: PeerID, now: Instant) {
        visitors?.note(unreached: peer, now: now)
        let waiting = visitors?.waiting.removeValue(forKey: peer) ?? []
        for (request, _) in waiting { refused(request, .unreachable, now: now) }
        lost(peer, now: now)
        if let node = visitors?.nodes.removeValue(forKey: peer) {
            tell(.ended(node.channel, reason: "was not reached through its relay"))
        }
    }

    /// A connection over a channel of the page is there: with another page, or with a node, where
    /// pages may meet.
    func isConnected(_ channel: PageChannel, now: Instant) {
        if let visitors, let peer = channel.peer { isConnected(channel, peer, visitors, now: now) }
    }

    @inline(never)
    private func isConnected(
        _ channel: PageChannel, _ peer: PeerID, _ visitors: Visitors, now: Instant
    ) {
        if visitors.isMeeting, !channel.isVisitor { visitors.guest.join(peer) }
        guard channel.messages != nil || visitors.waiting[peer] != nil else { return }
        for (request, names) in visitors.waiting.removeValue(forKey: peer) ?? [] {
            guard let stream = channel.open(names, now: now) else {
                refused(request, .overLimit, now: now)
                continue
            }
            channel.opening[stream] = request
        }
    }

    // MARK: Circuits

    /// The connection through a relay that was made to agree on an association. The peer may have
    /// made one of its own, which is its to end.
    func circuit(to peer: PeerID) -> PageChannel? {
        for number in channelOrder {
            if let channel = channels[number], channel.expected == peer, channel.carrier != nil {
                return channel
            }
        }
        return nil
    }

    /// Whether a page may have a circuit to this one: one each, and few altogether.
    private func takes(circuitOf caller: PeerID) -> Bool {
        let others = channels.values.filter { $0.carrier != nil && $0.expected == nil }
        return others.count < Visitors.maxForeignCircuits
            && !others.contains { $0.caller == caller } && channel(to: caller) == nil
            && visitors?.liars.contains(caller) == false
    }

    /// When something is due with other pages. A page without any need not load what deals with
    /// them, so that this and others of its kind are not inlined.
    @inline(never)
    func deadline(of visitors: Visitors) -> Instant? {
        var earliest = visitors.deadline
        for number in channelOrder {
            guard let channel = channels[number], channel.isVisitor else { continue }
            earliest = earliest.earlier(channel.lastUse + Visitors.idleTime)
        }
        return earliest
    }

    /// Does what is due with other pages.
    @inline(never)
    func advance(_ visitors: Visitors, to now: Instant) {
        visitors.advance(to: now)
        // Circuits that are there for longer than agreeing takes.
        while let number = visitors.circuitEnds.popDue(at: now) {
            guard let channel = channels[number] else { continue }
            channel.close()
            end(channel, because: "nothing came of it in time", now: now)
        }
        endIdleVisitors(now: now)
    }

    /// Leaves the pages with which nothing has gone back or forth for a while, so that they learn
    /// no more, and others have their places.
    private func endIdleVisitors(now: Instant) {
        for number in channelOrder {
            guard let channel = channels[number], channel.isVisitor,
                now.since(channel.lastUse) >= Visitors.idleTime
            else { continue }
            end(channel, because: "it was not used", now: now)
        }
    }

    private func take(_ event: RelayClient.Event, now: Instant) {
        switch event {
        case .reserved(let relay, _, _): visitors?.guest.isReachable(at: relay)
        case .lost(let relay, _): visitors?.lost(place: relay, now: now)
        case .connected(let number, let circuit):
            guard visitors?.circuits.removeValue(forKey: number) != nil else {
                return reset(circuit.stream, now: now)
            }
            upgrade(circuit, .dialer(circuit.peer), now: now)
        case .failed(let number, _):
            guard let peer = visitors?.circuits.removeValue(forKey: number) else { return }
            unreachable(peer, now: now)
        case .incoming(let circuit):
            guard takes(circuitOf: circuit.peer) else { return reset(circuit.stream, now: now) }
            upgrade(circuit, .listener, now: now)
        }
    }

    /// The stream is the way of a connection from now on.
    private func upgrade(_ circuit: Circuit, _ role: Connection.Role, now: Instant) {
        let relay = UInt32(circuit.stream.connection)
        guard let carrier = channels[relay], let number = visitors?.nextCircuit,
            carrier.streams[circuit.stream.stream] != nil,
            channels.count < Self.maxChannels
        else {
            if case .dialer = role { unreachable(circuit.peer, now: now) }
            return reset(circuit.stream, now: now)
        }
        var options = options
        options.accepted = [.noise]
        options.protocols = [PeerProtocols.signaling]
        do throws(ConnectionError) {
            let secrets = ConnectionSecrets(makeRandom(ConnectionSecrets.byteCount))
            let connection = try Connection(role, options: options, secrets: secrets, now: now)
            let channel = PageChannel(number, carrier.address, connection)
            channel.carrier = circuit.stream
            if case .dialer(let expected) = role {
                channel.expected = expected
            } else {
                channel.caller = circuit.peer
            }
            channels[number] = channel
            visitors?.circuitEnds.add(number, at: now + Visitors.circuitTime)
        } catch {
            if case .dialer = role { unreachable(circuit.peer, now: now) }
            return reset(circuit.stream, now: now)
        }
        visitors?.nextCircuit += 1
        channelOrder.append(number)
        carrier.streams[circuit.stream.stream]?.use = .circuit(number)
        receive(.message(circuit.stream, circuit.received), onCircuit: number, now: now)
    }

    /// Something came on the stream that a circuit is.
    func receive(_ event: StreamEvent, onCircuit number: UInt32, now: Instant) {
        guard let channel = channels[number] else { return }
        guard case .message(_, let bytes) = event else {
            return end(channel, because: "the circuit is over", now: now)
        }
        do throws(ConnectionError) {
            try channel.bytes?.receive(bytes.rawSpan, now: now)
        } catch {
            end(channel, because: error.description, now: now)
        }
    }

    /// Sends what a circuit has to say through its relay; answers whether that was anything.
    func carry(_ channel: PageChannel, now: Instant) -> Bool {
        guard let id = channel.carrier, let carrier = channels[UInt32(id.connection)],
            carrier.streams[id.stream] != nil
        else { return false }
        var hasSent = false
        while true {
            let bytes = transmit(on: channel)
            guard !bytes.isEmpty else { return hasSent }
            hasSent = true
            carrier.append(bytes, to: id.stream)
            pump(id.stream, of: carrier, now: now)
        }
    }

    /// Calls who is at the other end of a circuit, if this page has made it: on the one that a page
    /// makes which this one calls as well, that page calls.
    func circuitIsReady(_ channel: PageChannel, now: Instant) {
        guard let peer = channel.peer, channel.expected == peer, visitors?.waiting[peer] != nil,
            let number = visitors?.signaling.call(peer, now: now)
        else { return }
        visitors?.calls[number] = peer
        visitors?.unheardCalls.insert(number)
    }

    /// A circuit has been taken out of the channels.
    func endCircuit(_ channel: PageChannel, now: Instant) {
        _ = carry(channel, now: now)
        for request in channel.opening.values.sorted() {
            refused(request, .disconnected, now: now)
        }
        for stream in channel.streams.keys.sorted() {
            visitors?.signaling.receive(.reset(channel.id(of: stream)), now: now)
        }
        if let carrier = channel.carrier { finishCircuit(carrier, now: now) }
        // Nothing has been said on it about an association.
        guard let peer = channel.peer ?? channel.expected,
            visitors?.waiting[peer] != nil, visitors?.calls.values.contains(peer) != true
        else { return }
        unreachable(peer, now: now)
    }

    private func finishCircuit(_ stream: StreamID, now: Instant) {
        guard let carrier = channels[UInt32(stream.connection)] else { return }
        // What comes on it after this is nobody's.
        carrier.streams[stream.stream]?.outgoing.append(.finish)
        pump(stream.stream, of: carrier, now: now)
    }

    // MARK: Associations

    private func take(_ event: Signaling.Event, now: Instant) {
        switch event {
        case .wanted(let call):
            guard let peer = visitors?.calls[call], let purpose = visitors?.purpose(of: peer),
                visitors?.begin(purpose, now: now) == true
            else { return giveUp(call, now: now) }
            visitors?.unheardCalls.remove(call)
            tell(.signal(call, .wanted, []))
        case .offered(let call, let peer, let offer):
            // Of two that call each other the one with the lesser name goes on. The other's offer
            // is not refused: that one would take it that it is not wanted, and this one's offer
            // may come only after that.
            if visitors?.waiting[peer] != nil, precedes(peer) { return }
            guard takes(offerOf: peer, now: now) else {
                visitors?.signaling.giveUp(call)
                return
            }
            visitors?.calls[call] = peer
            visitors?.foreignCalls.insert(call)
            tell(.signal(call, .offer, offer))
        case .answered(let call, let answer): tell(.signal(call, .answer, answer))
        case .candidate(let call, let text): tell(.signal(call, .candidate, text))
        case .failed(let call, _):
            guard visitors?.calls[call] != nil else { return }
            // Of what the script has not heard it has nothing to say. Else it knows whether the two
            // have agreed, and need nobody any more.
            guard visitors?.unheardCalls.contains(call) == true else {
                return tell(.signal(call, .failed, []))
            }
            giveUp(call, now: now)
        }
    }

    private func precedes(_ other: PeerID) -> Bool {
        peer.bytes.lexicographicallyPrecedes(other.bytes)
    }

    private func takes(offerOf caller: PeerID, now: Instant) -> Bool {
        guard visitors?.isMeeting == true, channel(to: caller) == nil,
            visitors?.liars.contains(caller) == false
        else {
            return false
        }
        if visitors?.waiting[caller] != nil { return visitors?.begin(.page, now: now) == true }
        let callers = channels.values.count { $0.caller != nil && $0.isVisitor }
        return visitorCount < Visitors.maxVisitors
            && callers + (visitors?.foreignCalls.count ?? 0) < Visitors.maxCallers
            && visitors?.isResting(caller, calls: true, now: now) == false
            && visitors?.begin(.caller, now: now) == true
    }

    /// What the page's script has to say about an association that it makes.
    func say(_ step: SignalStep, _ text: [UInt8], in call: UInt64, now: Instant) {
        switch step {
        case .offer: visitors?.signaling.offer(call, text)
        case .answer: visitors?.signaling.answer(call, text)
        case .candidate: visitors?.signaling.tell(call, text)
        case .wanted: break
        case .failed: giveUp(call, now: now)
        }
        settle(now: now)
    }

    /// Nothing comes of a call. Of two that call each other the other one may still go on.
    private func giveUp(_ call: UInt64, now: Instant) {
        visitors?.signaling.giveUp(call)
        visitors?.unheardCalls.remove(call)
        let isForeign = visitors?.foreignCalls.remove(call) != nil
        guard let peer = visitors?.calls.removeValue(forKey: call) else { return }
        if isForeign { visitors?.note(unreached: peer, isByThem: true, now: now) }
        if !isForeign, let circuit = circuit(to: peer) {
            end(circuit, because: "nothing came of it", now: now)
        }
        guard let visitors, visitors.waiting[peer] != nil, channel(to: peer) == nil,
            !visitors.calls.values.contains(peer), !visitors.circuits.values.contains(peer),
            circuit(to: peer) == nil
        else { return }
        unreachable(peer, now: now)
    }

    /// The association of a call is there, and is a channel of the page. Returns whether it is
    /// wanted.
    func met(_ call: UInt64, _ number: UInt32, isServer: Bool, now: Instant) -> Bool {
        guard let peer = visitors?.calls.removeValue(forKey: call) else { return false }
        let isForeign = visitors?.foreignCalls.remove(call) != nil
        visitors?.signaling.connected(call)
        guard channel(to: peer) == nil, channels.count < Self.maxChannels else { return false }
        let node = visitors?.nodes.removeValue(forKey: peer)
        guard let address = node?.address ?? visitorAddress else { return false }
        let connection = WebRTCConnection(
            isServer: isServer, agreedWith: peer, options: options, now: now)
        let channel = PageChannel(number, address, connection)
        channel.isVisitor = node == nil
        channel.lastUse = now
        if isForeign { channel.caller = peer }
        channels[number] = channel
        channelOrder.append(number)
        settle(now: now)
        // Of two that called each other the other call is of no more use.
        let others = visitors?.calls.filter { $0.value == peer }.map { $0.key }.sorted() ?? []
        for other in others {
            if visitors?.unheardCalls.contains(other) == true {
                giveUp(other, now: now)
            } else {
                tell(.signal(other, .failed, []))
            }
        }
        // Who called hangs up.
        if !isForeign, let circuit = circuit(to: peer) {
            circuit.close()
            end(circuit, because: "it is of no more use", now: now)
            settle(now: now)
        }
        return true
    }

    /// How pages are addressed, as long as nobody has to find them by it.
    private var visitorAddress: Multiaddr? {
        try? Multiaddr([Multiaddr.Component(.webrtc)])
    }

    /// Carries out what the machines want; answers whether that was anything.
    @inline(never)
    func settle(_ visitors: Visitors, now: Instant) -> Bool {
        var isBusy = false
        while let order = visitors.guest.nextTransmit() {
            carryOut(order, of: .meeting, now: now)
            isBusy = true
        }
        while let event = visitors.guest.nextEvent() {
            take(event, now: now)
            isBusy = true
        }
        while let order = visitors.relays.nextTransmit() {
            carryOut(order, of: .relays, now: now)
            isBusy = true
        }
        while let event = visitors.relays.nextEvent() {
            take(event, now: now)
            isBusy = true
        }
        while let order = visitors.signaling.nextTransmit() {
            carryOut(order, of: .signaling, now: now)
            isBusy = true
        }
        while let event = visitors.signaling.nextEvent() {
            take(event, now: now)
            isBusy = true
        }
        return isBusy
    }
}
