// What a router answers.

public import Wire

extension PortMapper {
    /// A datagram came from this address and port.
    public mutating func receive(
        _ datagram: [UInt8], from source: [UInt8], port: UInt16, now: Instant
    ) {
        // Anybody in the network can send datagrams; only the router forwards ports.
        guard let network, source == network.router, port == Self.routerPort else { return }
        guard let current = asking else { return }
        // What cannot be read is no answer, and is waited for on.
        switch way {
        case .pcp:
            guard let response = try? PCPResponse(decoding: datagram.rawSpan) else { return }
            take(response, current, now: now)
        case .natPMP:
            guard let response = try? NATPMP.Response(decoding: datagram.rawSpan) else { return }
            take(response, current, now: now)
        case .upnp: break
        }
    }

    /// The system says that the router does not listen for requests.
    public mutating func unreachable(now: Instant) {
        guard asking != nil, way != .upnp else { return }
        fail(.unreachable, now: now)
    }

    /// An answer by UPnP.
    public mutating func receive(_ answer: Answer, to number: UInt64, now: Instant) {
        guard let current = asking, current.number == number,
            case .map(let port) = current.question
        else { return }
        switch answer {
        case .forwarded(let external):
            mapped(port, external, lifetime: Self.lifetime, now: now)
        case .failed(let failure): fail(failure, now: now)
        }
    }

    private mutating func take(_ response: PCPResponse, _ current: Asking, now: Instant) {
        guard case .map(let port) = current.question else { return }
        switch response {
        case .unsupported: fail(.unsupported, now: now)
        case .map(let result, let lifetime, let seconds, let mapping):
            guard isOurs(mapping, port) else { return }
            check(seconds, but: port, now: now)
            guard result == 0 else { return fail(.init(pcp: result), now: now) }
            mapped(port, mapping.external, lifetime: lifetime, now: now)
        }
    }

    private mutating func take(_ response: NATPMP.Response, _ current: Asking, now: Instant) {
        switch (response, current.question) {
        case (.address(let address, let seconds), .address):
            asking = nil
            check(seconds, but: nil, now: now)
            moved(to: address)
            advance(to: now)
        case (.mapped(let port, let outer, let lifetime, let seconds), .map(let wanted))
        where port == wanted:
            check(seconds, but: port, now: now)
            let address = outerAddress ?? [0, 0, 0, 0]
            mapped(
                port, IPv4Endpoint(address: address, port: outer), lifetime: lifetime, now: now)
        case (.refused(let isAddress, let result), let question)
        where isAddress == (question == .address):
            fail(.init(natPMP: result), now: now)
        default: break
        }
    }

    /// The router has this outer address now.
    private mutating func moved(to address: [UInt8]) {
        outerAddress = address
        for index in ports.indices {
            guard let external = ports[index].external else { continue }
            ports[index].external = IPv4Endpoint(address: address, port: external.port)
        }
        tell()
    }

    /// Asks for everything anew if the router has forgotten it.
    private mutating func check(_ seconds: UInt32, but fresh: UInt16?, now: Instant) {
        guard !epoch.continues(with: seconds, now: now) else { return }
        for index in ports.indices
        where ports[index].number != fresh && ports[index].external != nil {
            ports[index].renewal = now
            if !queue.contains(.map(ports[index].number)) {
                queue.append(.map(ports[index].number))
            }
        }
    }
}
