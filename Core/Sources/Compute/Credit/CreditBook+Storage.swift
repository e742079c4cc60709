// A credit book's accounts as they are kept when a node ends.

import IPLD
public import Multiformats
public import Wire

extension CreditBook {
    /// The longest form of all accounts, in bytes.
    public static let maxStoredBytes = 16 << 20

    /// All accounts in canonical dag-cbor.
    public var storedAccounts: [UInt8] {
        let entries = accounts.sorted { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }
        return CanonicalMap.encode(
            .map([
                Value.Entry("version", .integer(1)),
                Value.Entry("accounts", .list(entries.map { $0.value.value(of: $0.key) })),
            ]))
    }

    /// Reads what ``storedAccounts`` wrote.
    public static func accounts(
        decoding bytes: RawSpan
    ) throws(DecodeError) -> [PeerID: Account] {
        guard bytes.byteCount <= maxStoredBytes else {
            throw DecodeError(.overLimit, "accounts: longer than 16 MiB")
        }
        let map = try CanonicalMap(try DagCBOR.decode(bytes), fields: 2)
        guard try map.number("version", upTo: 1) == 1 else {
            throw DecodeError(.unsupported, "accounts: a version that is not known")
        }
        var accounts: [PeerID: Account] = [:]
        for value in try map.list("accounts", upTo: maxAccounts) {
            let entry = try CanonicalMap(value, fields: 6)
            let peer = try entry.bytes("peer", count: 1...Multihash.maxDigestLength)
            accounts[try PeerID(decoding: peer.rawSpan)] = try Account(entry)
        }
        return accounts
    }
}

extension BalanceChange {
    /// The longest form of a change, in bytes.
    public static let maxStoredBytes = 512

    private static let kinds: [String] = [
        "served", "received", "writtenOff", "lied", "signed", "acknowledged",
    ]

    /// The change in canonical dag-cbor.
    public var stored: [UInt8] {
        let (kind, call, amount): (Int, Value, UInt64) =
            switch cause {
            case .served(let call, let gas): (0, .link(call), gas)
            case .received(let call, let gas): (1, .link(call), gas)
            case .writtenOff: (2, .null, 0)
            case .lied: (3, .null, 0)
            case .signed(let amount): (4, .null, amount)
            case .acknowledged(let amount): (5, .null, amount)
            }
        return CanonicalMap.encode(
            .map([
                Value.Entry("call", call), Value.Entry("kind", .string(Self.kinds[kind])),
                Value.Entry("time", .integer(Int128(time))),
                Value.Entry("count", .integer(Int128(count))),
                Value.Entry("change", .integer(Int128(self.amount))),
                Value.Entry("number", .integer(Int128(amount))),
                Value.Entry("account", account.value(of: peer)),
            ]))
    }

    /// Reads what ``stored`` wrote.
    public init(storage bytes: RawSpan) throws(DecodeError) {
        let map = try CanonicalMap(try DagCBOR.decode(bytes), fields: 7)
        let account = try CanonicalMap(try map.value("account"), fields: 6)
        let peer = try account.bytes("peer", count: 1...Multihash.maxDigestLength)
        let number = try map.number("number", upTo: .max)
        let kind = Array(try map.text("kind").utf8)
        let cause: Cause
        switch Self.kinds.firstIndex(where: { kind.elementsEqual($0.utf8) }) {
        case 0: cause = .served(call: try map.link("call"), gas: number)
        case 1: cause = .received(call: try map.link("call"), gas: number)
        case 2: cause = .writtenOff
        case 3: cause = .lied
        case 4: cause = .signed(number)
        case 5: cause = .acknowledged(number)
        default: throw DecodeError(.unsupported, "balance: a cause that is not known")
        }
        guard case .integer(let change) = try map.value("change"),
            let amount = Int64(exactly: change)
        else { throw DecodeError(.malformed, "balance: a change is a number") }
        self.init(
            peer: try PeerID(decoding: peer.rawSpan), cause: cause, amount: amount,
            account: try Account(account), time: try map.number("time", upTo: .max),
            count: UInt32(try map.number("count", upTo: UInt64(UInt32.max))))
    }
}

extension Account {
    fileprivate func value(of peer: PeerID) -> Value {
        .map([
            Value.Entry("gas", .integer(Int128(unsignedGas))),
            Value.Entry("peer", .bytes(peer.bytes)),
            Value.Entry("served", .integer(Int128(served))),
            Value.Entry("received", .integer(Int128(received))),
            Value.Entry("signedHere", .integer(Int128(signedHere))),
            Value.Entry("signedByPeer", .integer(Int128(signedByPeer))),
        ])
    }

    fileprivate init(_ map: CanonicalMap) throws(DecodeError) {
        self.init()
        unsignedGas = try map.number("gas", upTo: .max)
        served = try map.number("served", upTo: .max)
        received = try map.number("received", upTo: .max)
        signedHere = try map.number("signedHere", upTo: .max)
        signedByPeer = try map.number("signedByPeer", upTo: .max)
    }
}

extension ChainPosition {
    /// The place as it is kept: its number in eight bytes, the most significant first, and the
    /// hash.
    public var stored: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendBigEndian(sequence)
        return bytes + previous
    }

    /// Reads what ``stored`` wrote; nil if it is something else.
    public init?(stored bytes: [UInt8]) {
        guard bytes.count == 40 else { return nil }
        self.init(
            sequence: bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) },
            previous: Array(bytes.suffix(32)))
    }
}
