// Text out of borrowed bytes.

import Wire

extension String {
    /// The text of bytes that are valid UTF-8; nil if they are not. No normalisation.
    init?(utf8 bytes: RawSpan) {
        let text = unsafe bytes.withUnsafeBytes {
            unsafe String(validating: $0, as: UTF8.self)
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
