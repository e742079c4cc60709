import HTTPTypes

// The header fields of gateways that HTTPTypes does not name. All are valid tokens.
extension HTTPField.Name {
    static let ipfsPath = HTTPField.Name("X-Ipfs-Path")!
    static let ipfsRoots = HTTPField.Name("X-Ipfs-Roots")!
    static let serviceWorker = HTTPField.Name("Service-Worker")!
}
