// What a caller says that content must hash to: a CID, or Subresource Integrity metadata
// (w3.org/TR/SRI).

import Cryptography
import Multiformats
import NIOCore
import Wire

/// What content must hash to.
enum Integrity: Hashable {
    /// The content of a CID.
    case content(CID)
    /// One of these hashes, all of the strongest function that was named.
    case hashes([Hash])

    /// A hash of a whole body.
    struct Hash: Hashable, Sendable {
        enum Function: Int, Hashable, Sendable { case sha256, sha384, sha512 }

        let function: Function
        let digest: [UInt8]

        /// Whether content has this hash.
        func matches(_ content: ByteBuffer) -> Bool {
            let span = content.readableBytesSpan
            return switch function {
            case .sha256: SHA256.hash(span) == digest
            case .sha384: SHA384.hash(span) == digest
            case .sha512: SHA512.hash(span) == digest
            }
        }
    }

    /// Reads a CID or a list of `sha256-…`, `sha384-…` and `sha512-…` items; unknown functions
    /// are passed over, as browsers do.
    ///
    /// - Throws: ``FetchError`` if nothing that can be checked is left: then nothing may be
    ///   handed out.
    init(_ text: String) throws(FetchError) {
        // A CID has no dash, and every item of the other form has one.
        if !text.contains("-"), let cid = try? CID(text: text) {
            self = .content(cid)
            return
        }
        var hashes: [Hash] = []
        for item in text.split(whereSeparator: \.isWhitespace) {
            let parts = item.split(separator: "-", maxSplits: 1)
            guard parts.count == 2 else { continue }
            let function: Hash.Function
            let length: Int
            switch parts[0].lowercased() {
            case "sha256": (function, length) = (.sha256, 32)
            case "sha384": (function, length) = (.sha384, 48)
            case "sha512": (function, length) = (.sha512, 64)
            default: continue
            }
            let body = parts[1].prefix { $0 != "?" && $0 != "=" }
                .replacing("-", with: "+").replacing("_", with: "/")
            // Not base64: cannot be matched by anything.
            guard let digest = try? Multibase.decode("m" + body).bytes, digest.count == length
            else { continue }
            hashes.append(Hash(function: function, digest: digest))
        }
        guard let strongest = hashes.map(\.function.rawValue).max() else {
            throw FetchError(
                .badRequest,
                "integrity '\(text)' is neither a CID nor sha256-…, sha384-… or sha512-…")
        }
        self = .hashes(hashes.filter { $0.function.rawValue == strongest })
    }
}
