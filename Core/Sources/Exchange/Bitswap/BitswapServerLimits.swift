extension BitswapServer {
    /// Ceilings of what peers can make the server do and keep. The defaults suit a home router.
    public struct Limits: Sendable {
        /// How many bytes of blocks may be on their way to one peer. One block always may.
        public var unacknowledgedBytesPerPeer = 1 << 20
        /// The same for all peers together.
        public var unacknowledgedBytes = 32 << 20
        /// How long a message gets before the next one begins; a block longer than that has one
        /// of its own.
        public var messageBytes = 64 << 10
        /// How many blocks are looked up at a time.
        public var cidsPerLookUp = 256
        /// How many look-ups may be under way.
        public var lookUps = 16
        /// How many blocks one peer may ask for in a second, in the long run. What goes beyond it
        /// waits.
        public var requestsPerSecond = 20_000
        /// How often a block that could not be sent is tried again.
        public var attempts = 3

        /// The defaults.
        public init() {}
    }
}
