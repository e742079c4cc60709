// Text out of borrowed bytes.

import Wire

extension String {
    /// The text of bytes that are valid UTF-8; nil if they are not. No normalisation.
    package init?(utf8 bytes: RawSpan) {
        let text = unsafe bytes.withUnsafeBytes { bytes -> String? in
            // Most texts are ASCII, which needs no decoder and is taken over as it is.
            unsafe bytes.allSatisfy { $0 < 0x80 }
                ? unsafe String(decoding: bytes, as: UTF8.self)
                : unsafe String(validating: bytes, as: UTF8.self)
        }
        guard let text else { return nil }
        self = text
    }
}

extension RawSpan {
    /// The byte at `offset`, which the caller has checked to lie inside.
    func byte(at offset: Int) -> UInt8 {
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }
}
