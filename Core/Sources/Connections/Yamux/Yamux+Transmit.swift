import Wire

extension Yamux {
    /// A data frame is not cut shorter than this for want of room, because heads cost as well.
    private static let leastData = 1024

    /// Whether something waits to be sent and may be.
    var wantsToSend: Bool { !answers.isEmpty || !line.isEmpty }

    /// The next frame of at most `room` bytes; nil if there is nothing to send that fits.
    mutating func nextTransmit(room: Int) -> Transmit? {
        guard room >= YamuxHeader.size else { return nil }
        if let header = answers.popFirst() { return Transmit(header: header, pieces: []) }
        while let id = line.first {
            guard let queued = streams[id]?.queue.byteCount,
                let window = streams[id]?.sendWindow, streams[id]?.canSend == true
            else {
                streams[id]?.isLinedUp = false
                _ = line.popFirst()
                continue
            }
            let sendable = min(queued, Int(clamping: window), YamuxLimits.maxFrame)
            let size = min(sendable, room - YamuxHeader.size)
            guard size == sendable || size >= Self.leastData else { return nil }
            _ = line.popFirst()
            streams[id]?.isLinedUp = false
            return transmit(id, size: size)
        }
        return nil
    }

    private mutating func transmit(_ id: UInt32, size: Int) -> Transmit {
        var flags = YamuxHeader.Flags()
        if streams[id]?.opening == .untold {
            streams[id]?.opening = .told
            flags.insert(.syn)
        }
        let pieces = streams[id]?.queue.take(size) ?? []
        streams[id]?.sendWindow -= UInt64(size)
        waiting -= size
        let left = streams[id]?.queue.byteCount ?? 0
        if left == 0, streams[id]?.sending == .finishing {
            streams[id]?.sending = .finished
            flags.insert(.fin)
        }
        if left < limits.sendQueue / 2, streams[id]?.wantsRoom == true {
            streams[id]?.wantsRoom = false
            events.append(.room(id))
        }
        lineUp(id)
        if streams[id]?.isOver == true { remove(id) }
        // Without data, a window update says the same in fewer words for old peers.
        let kind: YamuxHeader.Kind = size == 0 && !flags.contains(.fin) ? .windowUpdate : .data
        return Transmit(
            header: YamuxHeader(kind, flags, stream: id, length: UInt32(size)), pieces: pieces)
    }
}
