// A credit book's accounts as they are kept when a node ends.

public import Multiformats
public import Wire

extension CreditBook {
    /// The longest form of all accounts, in bytes.
    public static let maxStoredBytes = 16 << 20

    /// All accounts in canonical dag-cbor.
    public var storedAccounts: [UInt8] {
        let entries = accounts.sorted { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }
        var map = CanonicalWriter(fields: 2)
        map.write("version", 1)
        map.list("accounts", count: entries.count)
        for (peer, account) in entries { account.write(of: peer, into: &map) }
        return map.bytes
    }

    /// Reads what ``storedAccounts`` wrote.
    public static func accounts(
        decoding bytes: RawSpan
    ) throws(DecodeError) -> [PeerID: Account] {
        guard bytes.byteCount <= maxStoredBytes else {
            throw DecodeError(.overLimit, "accounts: longer than 16 MiB")
        }
        var reader = CanonicalReader(bytes)
        try reader.map(fields: 2)
        guard try reader.number("version") == 1 else {
            throw DecodeError(.unsupported, "accounts: a version that is not known")
        }
        var accounts = [PeerID: Account]()
        for _ in 0..<(try reader.list("accounts", upTo: maxAccounts)) {
            let (peer, account) = try Account.read(&reader)
            accounts[peer] = account
        }
        try reader.end()
        return accounts
    }
}

extension BalanceChange {
    /// The longest form of a change, in bytes.
    public static let maxStoredBytes = 512

    private static let kinds: [String] = [
        "served", "received", "writtenOff", "lied", "signed", "acknowledged", "withdrawn",
        "faded",
    ]

    /// The change in canonical dag-cbor.
    public var stored: [UInt8] {
        let (kind, call, amount): (Int, CID?, UInt64) =
            switch cause {
            case .served(let call, let gas): (0, call, gas)
            case .received(let call, let gas): (1, call, gas)
            case .writtenOff: (2, nil, 0)
            case .lied: (3, nil, 0)
            case .signed(let amount): (4, nil, amount)
            case .acknowledged(let amount): (5, nil, amount)
            case .withdrawn(let call, let gas): (6, call, gas)
            case .faded: (7, nil, 0)
            }
        var map = CanonicalWriter(fields: 7)
        map.key("call")
        if let call { map.append(call) } else { map.null() }
        map.write("kind", Self.kinds[kind])
        map.write("time", time)
        map.write("count", UInt64(count))
        map.write("change", signed: self.amount)
        map.write("number", amount)
        map.key("account")
        account.write(of: peer, into: &map)
        return map.bytes
    }

    /// Reads what ``stored`` wrote.
    public init(storage bytes: RawSpan) throws(DecodeError) {
        var reader = CanonicalReader(bytes)
        try reader.map(fields: 7)
        let call = try reader.null("call") ? nil : try reader.link()
        let kind = Array(try reader.text("kind").utf8)
        let time = try reader.number("time")
        let count = UInt32(try reader.number("count", upTo: UInt64(UInt32.max)))
        let amount = try reader.signed("change")
        let number = try reader.number("number")
        try reader.key("account")
        let (peer, account) = try Account.read(&reader)
        try reader.end()
        let cause: Cause
        switch (Self.kinds.firstIndex { kind.elementsEqual($0.utf8) }, call) {
        case (0, let call?): cause = .served(call: call, gas: number)
        case (1, let call?): cause = .received(call: call, gas: number)
        case (2, nil): cause = .writtenOff
        case (3, nil): cause = .lied
        case (4, nil): cause = .signed(number)
        case (5, nil): cause = .acknowledged(number)
        case (6, let call?): cause = .withdrawn(call: call, gas: number)
        case (7, nil): cause = .faded
        default: throw DecodeError(.unsupported, "balance: a cause that is not known")
        }
        self.init(
            peer: peer, cause: cause, amount: amount, account: account, time: time, count: count)
    }
}

extension Account {
    fileprivate func write(of peer: PeerID, into map: inout CanonicalWriter) {
        map.map(fields: 8)
        map.write("gas", unsignedGas)
        map.write("peer", peer.bytes)
        map.write("served", served)
        map.write("received", received)
        map.write("servedAt", servedAt)
        map.write("signedHere", signedHere)
        map.write("writtenOff", writtenOff)
        map.write("signedByPeer", signedByPeer)
    }

    fileprivate static func read(
        _ reader: inout CanonicalReader
    ) throws(DecodeError) -> (PeerID, Account) {
        var account = Account()
        try reader.map(fields: 8)
        account.unsignedGas = try reader.number("gas")
        let peer = try reader.peer("peer")
        account.served = try reader.number("served")
        account.received = try reader.number("received")
        account.servedAt = try reader.number("servedAt")
        account.signedHere = try reader.number("signedHere")
        account.writtenOff = try reader.number("writtenOff")
        account.signedByPeer = try reader.number("signedByPeer")
        return (peer, account)
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
