// The certificate that is shown to browsers is kept, so that this node's addresses, which name its
// hash, stay what they are.

import Transports

extension DTLSCertificate {
    /// The certificate in a file; made and written if there is none.
    init(keptIn path: String) throws {
        if let bytes = try SmallFile.read(path) {
            try self.init(pem: String(decoding: bytes, as: UTF8.self))
        } else {
            try self.init()
            try SmallFile.replace(path, with: Array(pem.utf8))
        }
    }
}
