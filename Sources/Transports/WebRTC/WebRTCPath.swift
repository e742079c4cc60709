// Where a peer of WebRTC is, and to which of this machine's addresses it talks.

import CWebRTC
import Connections
import NIOCore

/// The way that datagrams go to a peer: back from the address that its own came to, as it would not
/// know them otherwise.
struct WebRTCPath {
    let remote: SocketAddress
    /// The address of this machine; nil if the socket has but one.
    let local: SocketAddress?
    let way: weft_udp_path

    /// A way to where nothing has come from, from whatever address the system chooses.
    init(to remote: SocketAddress) {
        self.remote = remote
        local = nil
        way = remote.withSockAddr { weft_udp_path_make($0, $1, nil, 0) }
    }

    /// The way back of a datagram.
    init(_ envelope: AddressedEnvelope<ByteBuffer>) {
        remote = envelope.remoteAddress
        local = envelope.metadata?.packetInfo?.destinationAddress
        let interface = envelope.metadata?.packetInfo?.interfaceIndex ?? 0
        let local = local
        way = remote.withSockAddr { peer, count in
            guard let local else { return weft_udp_path_make(peer, count, nil, 0) }
            return local.withSockAddr { own, _ in
                weft_udp_path_make(peer, count, own, UInt32(clamping: interface))
            }
        }
    }
}

extension UDPAddress {
    /// The address of a datagram; nil if it is not one of UDP over IP.
    init?(_ address: SocketAddress) {
        // After the family come the port, in IPv6 a label, and the IP address (ip(7), ipv6(7)).
        let length: Int
        let start: Int
        switch address {
        case .v4: (start, length) = (4, 4)
        case .v6: (start, length) = (8, 16)
        case .unixDomainSocket: return nil
        }
        let read = address.withSockAddr { pointer, size -> UDPAddress? in
            let bytes = UnsafeRawBufferPointer(start: pointer, count: size)
            guard size >= start + length else { return nil }
            let ip = Array(bytes[start..<(start + length)])
            let port = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
            return UDPAddress(ip: ip.span.bytes, port: port)
        }
        guard let read else { return nil }
        self = read
    }
}
