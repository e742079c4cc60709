// Who a check belongs to in webrtc-direct (github.com/libp2p/specs, webrtc/webrtc-direct.md): the
// dialer makes up the credentials of both sides, and tells them in the name of its checks. Two that
// agreed on a connection before have told each other theirs (webrtc/webrtc.md).

/// The credentials of one connection.
struct ICECredentials: Hashable, Sendable {
    /// The name of both sides as checks to us carry it, `ours:theirs`.
    let username: [UInt8]
    /// What our side's name starts with, up to the version.
    static let prefix = Array("libp2p+webrtc+v".utf8)
    /// How long a name may be, in bytes.
    static let nameLength = 4...256
    /// The shortest password that ICE allows, in bytes.
    static let leastPassword = 22

    /// Where our half ends.
    private let colon: Int

    /// Our password, with which the other side signs its checks and we sign our answers.
    var password: ArraySlice<UInt8> { username[..<colon] }

    /// The credentials that a check's name stands for; nil if it is not one of webrtc-direct, of
    /// a version that is known here.
    init?(username: [UInt8]) {
        guard username.count <= 2 * Self.nameLength.upperBound + 1,
            let colon = username.firstIndex(of: UInt8(ascii: ":"))
        else { return nil }
        let (ours, theirs) = (username[..<colon], username[(colon + 1)...])
        guard Self.isName(ours), Self.isName(theirs), ours.starts(with: Self.prefix),
            ours.count > Self.prefix.count + 2, ours[Self.prefix.count + 1] == UInt8(ascii: "/")
        else { return nil }
        switch ours[Self.prefix.count] {
        case UInt8(ascii: "1"):
            // Both sides have the same name and password.
            guard ours.elementsEqual(theirs) else { return nil }
        case UInt8(ascii: "2"):
            // Ours ends with the other side's password, which we need not know.
            guard ours.count - (Self.prefix.count + 2) >= Self.leastPassword else { return nil }
        default: return nil
        }
        self.username = username
        self.colon = colon
    }

    static func isName(_ name: ArraySlice<UInt8>) -> Bool {
        nameLength.contains(name.count) && name.allSatisfy(isICECharacter)
    }

    private static func isICECharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
            true
        default: false
        }
    }
}

/// What two peers have agreed on for the checks of one connection.
public struct ICEAgreement: Sendable {
    /// The name of our side.
    public let name: [UInt8]
    /// With what the peer's checks are signed.
    public let password: [UInt8]
    /// The name of the other side.
    public let peerName: [UInt8]
    /// With what our checks are signed.
    public let peerPassword: [UInt8]
    /// What decides between two sides that want to choose the way; here only one does.
    private let tieBreaker: [UInt8]

    /// How many random bytes it takes to make our side's part of it.
    public static let randomBytes = 40
    private static let nameLength = 8
    private static let characters = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Answers an offer; nobody may be able to guess the random bytes.
    public init(answering offer: SessionOffer, random: [UInt8]) {
        let text = random.prefix(32).map { Self.characters[Int($0 & 63)] }
        name = Array(text.prefix(Self.nameLength))
        password = Array(text.dropFirst(Self.nameLength))
        tieBreaker = Array(random.suffix(8))
        peerName = offer.name
        peerPassword = offer.password
    }

    /// The name that the peer's checks carry.
    var username: [UInt8] { name + [UInt8(ascii: ":")] + peerName }

    /// A check of one way to the peer, which is also what lets the peer's own checks through the
    /// router in front of us.
    public func check(transaction: [UInt8]) -> [UInt8] {
        var writer = STUNWriter(.request, transaction: transaction)
        writer.add(username: peerName + [UInt8(ascii: ":")] + name)
        writer.add(priority: 110 << 24 | 0xffff << 8 | 255, isNomination: false)
        writer.add(STUNMessage.Attribute.iceControlled, tieBreaker)
        return writer.finish(key: peerPassword)
    }
}
