// `/weft/call/1`: one peer asks another to run calls (docs/call-protocol.md).

public import Multiformats
import Wire

/// The names and ceilings of the call protocol.
public enum CallProtocol {
    /// The protocol's name.
    public static let name = ProtocolName("/weft/call/1")
    /// How its streams are cut up.
    public static let framing = StreamFraming.messages(limit: maxMessageBytes)
    /// The longest message either way, in bytes: a result with what is around it.
    public static let maxMessageBytes = 576 << 10
    /// Bytes of a nonce.
    public static let nonceBytes = 16
    /// Bytes of a salt.
    public static let saltBytes = 32
    /// The most headers that one signature covers.
    public static let maxBatch = 64
    /// The most contracts that an offer names.
    public static let maxOffered = 256
    /// The longest time that an asker can say it is going to wait.
    public static let maxPatience: Duration = .seconds(600)
    /// How long the output may take after its header.
    public static let revealTime: Duration = .seconds(30)
    /// How long a stream without calls is kept.
    public static let idleTime: Duration = .seconds(60)
    /// The most calls that one peer may have under way at another.
    public static let maxCallsPerPeer = 64
    /// The domain of the signatures of headers.
    static let headerDomain: StaticString = "weft-call-header"
    /// The domain of the signatures of receipts.
    static let receiptDomain: StaticString = "weft-receipt"
}
