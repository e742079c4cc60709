public import HTTPTypes

// The header fields of gateways that HTTPTypes does not name. All are valid tokens.
extension HTTPField.Name {
    static let ipfsPath = HTTPField.Name("X-Ipfs-Path")!
    static let ipfsRoots = HTTPField.Name("X-Ipfs-Roots")!
    static let serviceWorker = HTTPField.Name("Service-Worker")!
}

extension HTTPResponse.Status {
    /// 451, for what a law forbids (RFC 7725).
    public static let unavailableForLegalReasons = HTTPResponse.Status(
        code: 451, reasonPhrase: "Unavailable For Legal Reasons")
}
