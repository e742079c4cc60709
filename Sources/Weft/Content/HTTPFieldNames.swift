import HTTPTypes

// The header fields of gateways and calls that HTTPTypes does not name. All are valid tokens.
extension HTTPField.Name {
    static let ipfsPath = HTTPField.Name("X-Ipfs-Path")!
    static let ipfsRoots = HTTPField.Name("X-Ipfs-Roots")!
    static let serviceWorker = HTTPField.Name("Service-Worker")!
    static let weftGas = HTTPField.Name("Weft-Gas")!
    static let weftRecord = HTTPField.Name("Weft-Record")!
    static let weftResponder = HTTPField.Name("Weft-Responder")!
    static let weftContent = HTTPField.Name("Weft-Content")!
    static let weftCost = HTTPField.Name("Weft-Cost")!
    static let weftConfidence = HTTPField.Name("Weft-Confidence")!
    static let weftOutcome = HTTPField.Name("Weft-Outcome")!
}
