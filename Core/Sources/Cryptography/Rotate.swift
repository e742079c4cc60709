// Bit rotations, which the standard library does not have.

extension FixedWidthInteger {
    @inline(__always)
    func rotatedRight(_ count: Self) -> Self {
        (self &>> count) | (self &<< (Self(Self.bitWidth) &- count))
    }

    @inline(__always)
    func rotatedLeft(_ count: Self) -> Self {
        (self &<< count) | (self &>> (Self(Self.bitWidth) &- count))
    }
}
