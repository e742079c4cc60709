// Scripts for trustless gateways: an honest one, and the ways in which one can be bad.

import IPLD
import Multiformats
import NIOCore
import NIOHTTP1

/// Scripts for a ``TestServer`` that plays a trustless gateway.
enum TestGateway {
    /// What an honest answer is turned into.
    typealias Twist = @Sendable (TestServer.Request, [TestServer.Step]) -> [TestServer.Step]

    /// Answers every request for a part of `file` as the specification says.
    static func honest(
        _ file: TestFile, twist: @escaping Twist = { _, steps in steps }
    ) -> TestServer.Script {
        { request in twist(request, answer(request, file)) }
    }

    private static func answer(
        _ request: TestServer.Request, _ file: TestFile
    ) -> [TestServer.Step] {
        let name = request.path.split(separator: "/").dropFirst().first.map(String.init) ?? ""
        guard let cid = try? CID(text: name), let bytes = file.blocks[cid.hash] else {
            return [.head(.notFound)]
        }
        if request.query["format"] == "raw" {
            return [
                .head(
                    .ok,
                    [
                        "content-type": "application/vnd.ipld.raw",
                        "content-length": "\(bytes.count)",
                    ]
                ),
                .bytes(bytes),
            ]
        }
        let range = request.query["entity-bytes"].flatMap { EntityBytes($0) }
        let scope: DAGWalk.Scope =
            switch request.query["dag-scope"] {
            case "block": .block
            case "entity": .entity(range)
            default: .all
            }
        let sections = (try? file.sections(of: cid, scope: scope)) ?? []
        var steps: [TestServer.Step] = [
            .head(.ok, ["content-type": "application/vnd.ipld.car; version=1"]),
            .bytes(CAR.header(roots: [cid])),
        ]
        steps += sections.map { .bytes($0.encoded) }
        return steps
    }

    /// The last byte of the body's piece number `index` is wrong.
    static func lying(at index: Int) -> Twist {
        change(at: index) { bytes in
            var bytes = bytes
            bytes[bytes.count - 1] ^= 1
            return [.bytes(bytes)]
        }
    }

    /// The connection is cut in the middle of piece number `index`.
    static func truncating(at index: Int) -> Twist {
        change(at: index) { [.bytes(Array($0.prefix($0.count / 2))), .close] }
    }

    /// Nothing comes any more in the middle of piece number `index`.
    static func stalling(at index: Int) -> Twist {
        change(at: index) { [.bytes(Array($0.prefix($0.count / 2))), .stall] }
    }

    /// There is a pause before every piece.
    static func slow(_ pause: TimeAmount) -> Twist {
        { _, steps in
            steps.flatMap { step -> [TestServer.Step] in
                guard case .bytes = step else { return [step] }
                return [.wait(pause), step]
            }
        }
    }

    private static func change(
        at index: Int, _ body: @escaping @Sendable ([UInt8]) -> [TestServer.Step]
    ) -> Twist {
        { _, steps in
            var steps = steps
            let pieces = steps.indices.filter {
                if case .bytes = steps[$0] { true } else { false }
            }
            guard index < pieces.count, case .bytes(let bytes) = steps[pieces[index]] else {
                return steps
            }
            steps.replaceSubrange(pieces[index]...pieces[index], with: body(bytes))
            // What would come after the end of the connection is not played.
            return steps
        }
    }
}
