import Multiformats
import Testing
import Wire

@Suite struct CIDTextTests {
    /// Text and binary forms of the identifiers that the CID specification and Kubo print.
    @Test func knownForms() throws {
        let v0 = try CID(text: "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n")
        #expect(v0.version == .v0)
        #expect(v0.description == "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n")
        #expect(
            v0.v1.description == "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
        let raw = Multihash.sha2_256(of: Array("hello world".utf8).rawSpan)
        #expect(
            CID(.raw, raw).description
                == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")
    }
}
