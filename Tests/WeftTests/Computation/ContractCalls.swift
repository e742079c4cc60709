// Contracts of tests on a node: published, and called.

import ContractText
import HTTPTypes
import Multiformats
import NIOCore

@testable import Weft

extension Node {
    /// Adds bytes as a file.
    func addFile(_ bytes: [UInt8]) async throws -> CID {
        let upload = try Upload(into: self)
        _ = try await upload.addFile("file", ResponseBody(ByteBuffer(bytes: bytes)))
        return try await upload.finish().result.roots[0].cid
    }

    /// Publishes a contract.
    func publish(contract text: String) async throws -> CID {
        try await addFile(try ContractText.assemble(text))
    }

    /// Calls a contract; gives the response and its body.
    func call(
        _ url: String, _ body: String? = nil, _ change: (inout Request) throws -> Void = { _ in }
    ) async throws -> (response: Response, text: String, body: ByteBuffer) {
        var request = Request(
            url, method: body == nil ? .get : .post,
            body: body.map { ResponseBody(ByteBuffer(string: $0)) })
        try change(&request)
        let response = try await fetch(request)
        let body = try await response.body.collect(upTo: 100 << 20)
        return (response, String(buffer: body), body)
    }
}
