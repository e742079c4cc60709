// The protocols that addresses are built from (github.com/multiformats/multiaddr, protocols.csv).

/// One protocol of an address, by its multicodec number.
public struct MultiaddrProtocol: Hashable, Sendable {
    /// How the value after a protocol is laid out, and how it is written as text.
    enum Form: Sendable {
        /// There is no value.
        case none
        /// Four bytes, as `127.0.0.1`.
        case ip4
        /// Sixteen bytes, as `::1`.
        case ip6
        /// One byte, in decimal: how many bits of an address belong to its network.
        case prefixLength
        /// Two bytes, most significant first, in decimal.
        case port
        /// Eight bytes, most significant first, in decimal.
        case number
        /// A name without slashes, as it is.
        case name
        /// A file path, which takes up the rest of the address.
        case path
        /// A path of a URL, percent-encoded in text.
        case urlPath
        /// A peer id.
        case peer
        /// A multihash, in text as a multibase.
        case multihash
        /// An onion service's key of 35 bytes and its port.
        case onion

        /// The length of the value in bytes; nil where the address says it.
        var length: Int? {
            switch self {
            case .none: 0
            case .ip4: 4
            case .ip6: 16
            case .prefixLength: 1
            case .port: 2
            case .number: 8
            case .onion: 37
            case .name, .path, .urlPath, .peer, .multihash: nil
            }
        }
    }

    /// The number in the multicodec table.
    public let code: UInt64
    /// The name in text, such as `tcp`.
    public let name: String
    let form: Form

    /// The protocol with a number; nil for one that is not known here.
    public init?(code: UInt64) {
        guard let known = Self.all.first(where: { $0.code == code }) else { return nil }
        self = known
    }

    /// The protocol with a name in UTF-8; `ipfs` is an old name of `p2p`.
    init?(utf8 name: ArraySlice<UInt8>) {
        if name.elementsEqual("ipfs".utf8) {
            self = .p2p
            return
        }
        guard let known = Self.all.first(where: { $0.name.utf8.elementsEqual(name) }) else {
            return nil
        }
        self = known
    }

    private init(_ name: String, _ code: UInt64, _ form: Form = .none) {
        self.name = name
        self.code = code
        self.form = form
    }

    public static func == (left: Self, right: Self) -> Bool { left.code == right.code }

    public func hash(into hasher: inout Hasher) { hasher.combine(code) }
}

extension MultiaddrProtocol {
    public static let ip4 = MultiaddrProtocol("ip4", 4, .ip4)
    public static let tcp = MultiaddrProtocol("tcp", 6, .port)
    public static let ip6 = MultiaddrProtocol("ip6", 41, .ip6)
    public static let ip6zone = MultiaddrProtocol("ip6zone", 42, .name)
    public static let ipcidr = MultiaddrProtocol("ipcidr", 43, .prefixLength)
    public static let dns = MultiaddrProtocol("dns", 53, .name)
    public static let dns4 = MultiaddrProtocol("dns4", 54, .name)
    public static let dns6 = MultiaddrProtocol("dns6", 55, .name)
    public static let dnsaddr = MultiaddrProtocol("dnsaddr", 56, .name)
    public static let udp = MultiaddrProtocol("udp", 273, .port)
    public static let webrtcDirect = MultiaddrProtocol("webrtc-direct", 280)
    public static let webrtc = MultiaddrProtocol("webrtc", 281)
    public static let p2pCircuit = MultiaddrProtocol("p2p-circuit", 290)
    public static let unix = MultiaddrProtocol("unix", 400, .path)
    public static let p2p = MultiaddrProtocol("p2p", 421, .peer)
    public static let https = MultiaddrProtocol("https", 443)
    public static let onion3 = MultiaddrProtocol("onion3", 445, .onion)
    public static let tls = MultiaddrProtocol("tls", 448)
    public static let sni = MultiaddrProtocol("sni", 449, .name)
    public static let noise = MultiaddrProtocol("noise", 454)
    public static let quic = MultiaddrProtocol("quic", 460)
    public static let quicV1 = MultiaddrProtocol("quic-v1", 461)
    public static let webtransport = MultiaddrProtocol("webtransport", 465)
    public static let certhash = MultiaddrProtocol("certhash", 466, .multihash)
    public static let ws = MultiaddrProtocol("ws", 477)
    public static let wss = MultiaddrProtocol("wss", 478)
    public static let http = MultiaddrProtocol("http", 480)
    public static let httpPath = MultiaddrProtocol("http-path", 481, .urlPath)
    public static let memory = MultiaddrProtocol("memory", 777, .number)

    static let all: [MultiaddrProtocol] = [
        .ip4, .tcp, .ip6, .ip6zone, .ipcidr, .dns, .dns4, .dns6, .dnsaddr, .udp, .webrtcDirect,
        .webrtc, .p2pCircuit, .unix, .p2p, .https, .onion3, .tls, .sni, .noise, .quic, .quicV1,
        .webtransport, .certhash, .ws, .wss, .http, .httpPath, .memory,
    ]
}
