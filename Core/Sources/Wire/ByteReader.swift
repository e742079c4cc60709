/// A cursor over borrowed bytes: reads fixed-width integers, varints and slices, and never past
/// the end.
///
/// All unsafe loads of `Core`'s decoders are in this file. What every decoder calls is not inlined:
/// a page would load a copy for each call.
public struct ByteReader: ~Escapable, ~Copyable {
    /// All the bytes, also those already read.
    public let bytes: RawSpan
    /// How many bytes have been read.
    public private(set) var offset: Int

    /// Starts at the first byte of `bytes`.
    @_lifetime(copy bytes)
    public init(_ bytes: RawSpan) {
        self.bytes = bytes
        self.offset = 0
    }

    /// How many bytes are left.
    public var remaining: Int { bytes.byteCount - offset }

    /// Whether all bytes have been read.
    public var isAtEnd: Bool { offset == bytes.byteCount }

    /// The next byte, without reading it; nil at the end.
    public var peek: UInt8? {
        isAtEnd ? nil : unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// Reads one byte.
    @_lifetime(self: copy self)
    public mutating func readByte() throws(DecodeError) -> UInt8 {
        guard !isAtEnd else { throw truncated }
        let byte = unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
        offset += 1
        return byte
    }

    /// Reads a fixed-width integer, most significant byte first.
    @_lifetime(self: copy self)
    public mutating func readBigEndian<T: FixedWidthInteger & BitwiseCopyable>(
        _: T.Type = T.self
    ) throws(DecodeError) -> T {
        T(bigEndian: try load())
    }

    /// Reads a fixed-width integer, least significant byte first.
    @_lifetime(self: copy self)
    public mutating func readLittleEndian<T: FixedWidthInteger & BitwiseCopyable>(
        _: T.Type = T.self
    ) throws(DecodeError) -> T {
        T(littleEndian: try load())
    }

    /// Reads `count` bytes as a view of the input, without copying them.
    @_lifetime(copy self)
    @_lifetime(self: copy self)
    @inline(never)
    public mutating func readSpan(_ count: Int) throws(DecodeError) -> RawSpan {
        guard count >= 0, count <= remaining else { throw truncated }
        let span = bytes.extracting(offset..<(offset + count))
        offset += count
        return span
    }

    /// Reads at most `count` bytes as a view of the input: fewer if fewer are left.
    @_lifetime(copy self)
    @_lifetime(self: copy self)
    public mutating func readSpan(upTo count: Int) -> RawSpan {
        let end = offset + min(max(count, 0), remaining)
        let span = bytes.extracting(offset..<end)
        offset = end
        return span
    }

    /// Reads `count` bytes into a new array. The count is checked against what is left first, so
    /// a lying length costs no memory.
    @_lifetime(self: copy self)
    @inline(never)
    public mutating func readBytes(_ count: Int) throws(DecodeError) -> [UInt8] {
        [UInt8](try readSpan(count))
    }

    /// Passes over `count` bytes.
    @_lifetime(self: copy self)
    @inline(never)
    public mutating func skip(_ count: Int) throws(DecodeError) {
        guard count >= 0, count <= remaining else { throw truncated }
        offset += count
    }

    /// An error of this place in the input.
    public func error(_ kind: DecodeError.Kind, _ reason: StaticString) -> DecodeError {
        DecodeError(kind, reason, at: offset)
    }

    private var truncated: DecodeError { error(.truncated, "the input ends too early") }

    @_lifetime(self: copy self)
    private mutating func load<T: FixedWidthInteger & BitwiseCopyable>() throws(DecodeError) -> T {
        let size = MemoryLayout<T>.size
        guard size <= remaining else { throw truncated }
        let value = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: T.self)
        offset += size
        return value
    }
}

extension Array where Element == UInt8 {
    /// A copy of borrowed bytes.
    public init(_ span: RawSpan) {
        self = unsafe span.withUnsafeBytes { unsafe Array($0) }
    }

    /// Appends a copy of borrowed bytes.
    public mutating func append(_ span: RawSpan) {
        unsafe span.withUnsafeBytes { unsafe append(contentsOf: $0) }
    }

    /// A borrowed view of these bytes, as decoders and hash functions take it.
    public var rawSpan: RawSpan {
        @_lifetime(borrow self)
        get {
            let span = self.span
            // A `UInt8` has no padding, so all bytes of the storage are initialised.
            return unsafe _overrideLifetime(span.bytes, borrowing: self)
        }
    }
}

extension ArraySlice where Element == UInt8 {
    /// A borrowed view of these bytes, as decoders and hash functions take it.
    public var rawSpan: RawSpan {
        @_lifetime(borrow self)
        get {
            let span = self.span
            // A `UInt8` has no padding, so all bytes of the storage are initialised.
            return unsafe _overrideLifetime(span.bytes, borrowing: self)
        }
    }
}
