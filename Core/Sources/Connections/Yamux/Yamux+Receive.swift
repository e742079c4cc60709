import Wire

extension Yamux {
    /// Takes in what has arrived. Data is handed out as slices of `chunk`.
    mutating func receive(_ chunk: ArraySlice<UInt8>, now: Instant) throws(YamuxFault) {
        hear(now: now)
        var rest = chunk
        while !rest.isEmpty {
            if let (header, missing) = body {
                let piece = rest.prefix(missing)
                rest = rest.dropFirst(piece.count)
                deliver(piece, to: header.stream)
                body = (header, missing - piece.count)
                if piece.count == missing {
                    body = nil
                    endFrame(header)
                }
            } else if let header = try readHeader(&rest) {
                try handle(header, now: now)
                try checkAnswers()
            }
        }
    }

    /// Reads a head, also one that arrives in pieces; nil if it is not complete.
    private mutating func readHeader(
        _ rest: inout ArraySlice<UInt8>
    ) throws(YamuxFault) -> YamuxHeader? {
        let piece = rest.prefix(YamuxHeader.size - partialHeader.count)
        rest = rest.dropFirst(piece.count)
        partialHeader.append(contentsOf: piece)
        guard partialHeader.count == YamuxHeader.size else { return nil }
        let header = try YamuxHeader(decoding: partialHeader.rawSpan)
        partialHeader.removeAll(keepingCapacity: true)
        return header
    }

    private mutating func handle(_ header: YamuxHeader, now: Instant) throws(YamuxFault) {
        switch header.kind {
        case .ping, .goAway:
            guard header.stream == 0 else { throw .misaddressed }
            if header.kind == .ping {
                handlePing(header, now: now)
            } else {
                isPeerLeaving = true
                events.append(.goAway(YamuxGoAway(rawValue: header.length) ?? .internalError))
            }
        case .data, .windowUpdate:
            guard header.stream != 0 else { throw .misaddressed }
            try handleStream(header, now: now)
        }
    }

    private mutating func handlePing(_ header: YamuxHeader, now: Instant) {
        if header.flags.contains(.ack) {
            measure(header.length, now: now)
        } else {
            answer(YamuxHeader(.ping, .ack, stream: 0, length: header.length))
        }
    }

    private mutating func handleStream(_ header: YamuxHeader, now: Instant) throws(YamuxFault) {
        let id = header.stream
        if header.flags.contains(.syn) {
            let isPeers = id.isMultiple(of: 2) == (role == .client)
            guard isPeers, streams[id] == nil else { throw .wrongStreamNumber }
            if !accept(id, now: now) {
                answer(YamuxHeader(.windowUpdate, .rst, stream: id, length: 0))
            }
        }
        if header.flags.contains(.ack) { acknowledge(id) }
        if header.flags.contains(.rst), streams[id] != nil {
            remove(id)
            events.append(.reset(id))
        }
        if header.kind == .windowUpdate {
            streams[id]?.sendWindow += UInt64(header.length)
            lineUp(id)
            endFrame(header)
            return
        }
        if let credit = streams[id]?.credit {
            guard header.length <= UInt32(clamping: credit), streams[id]?.receiving == .open else {
                throw .windowExceeded
            }
            streams[id]?.credit = credit - Int(header.length)
        }
        // Data of a stream that is gone was under way when it ended, and is passed over.
        if header.length == 0 {
            endFrame(header)
        } else {
            body = (header, Int(clamping: header.length))
        }
    }

    private mutating func deliver(_ piece: ArraySlice<UInt8>, to id: UInt32) {
        guard streams[id] != nil, !piece.isEmpty else { return }
        streams[id]?.unconsumed += piece.count
        unconsumed += piece.count
        events.append(.data(id, piece))
    }

    /// What a frame's flags say about the time after it.
    private mutating func endFrame(_ header: YamuxHeader) {
        guard header.flags.contains(.fin), let receiving = streams[header.stream]?.receiving,
            receiving == .open
        else { return }
        streams[header.stream]?.receiving = .finished
        events.append(.finished(header.stream))
        if streams[header.stream]?.isOver == true { remove(header.stream) }
    }
}
