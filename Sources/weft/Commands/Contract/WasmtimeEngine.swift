// Wasmtime, as nodes run contracts: a node of its own in a temporary folder has the module and the
// content, and answers the cases as it would answer anybody.

import HTTPTypes
import NIOCore
import Weft

/// A node that has what cases need. It contacts nobody.
struct CaseNode {
    static let engine = "Wasmtime"

    private let node: Node

    /// Runs `work` with such a node, whose repository is in a folder.
    static func with<Result>(
        _ place: TemporaryFolder, _ work: (CaseNode) async throws -> Result
    ) async throws -> Result {
        do {
            let node = try await Node.start(at: "\(place.path)/repository")
            do {
                let result = try await work(CaseNode(node: node))
                await node.stop()
                return result
            } catch {
                await node.stop()
                throw error
            }
        } catch {
            throw CommandFailure(error)
        }
    }

    /// Adds a file or folder; its CID.
    func add(_ path: String) async throws -> String {
        let result = try await node.add([path])
        guard let root = result.roots.first else {
            throw CommandFailure("'\(path)' holds nothing to add")
        }
        return "\(root.cid)"
    }

    /// Runs calls one after the other.
    func run(_ job: ContractJob) async throws -> [ContractRun] {
        var runs: [ContractRun] = []
        for item in job.cases {
            var headers = HTTPFields()
            for field in item.headers where field.name != "weft-gas" {
                guard let name = HTTPField.Name(field.name) else { continue }
                headers.append(HTTPField(name: name, value: field.value))
            }
            if let name = HTTPField.Name("weft-gas") { headers[name] = "\(job.gas(of: item))" }
            let response = try await node.fetch(
                Request(
                    "weft://\(job.contract)\(item.target)",
                    method: HTTPRequest.Method(item.method) ?? .get, headers: headers,
                    body: item.body.isEmpty ? nil : ResponseBody(ByteBuffer(bytes: item.body)),
                    cache: .onlyIfCached))
            runs.append(try await Self.run(response))
        }
        return runs
    }

    /// What the node adds to what the contract said.
    private static let addedFields = [
        "content-length", "weft-gas", "weft-record", "weft-responder", "weft-confidence",
        "weft-cost",
        "weft-content",
    ]

    private static func run(_ response: Response) async throws -> ContractRun {
        var run = ContractRun(
            end: .ok, status: response.status.code, fields: [], body: [],
            gas: response.mesh.call?.gas ?? 0)
        for field in response.headers {
            let name = field.name.canonicalName
            if name == "weft-outcome", let end = ContractEnd(word: field.value) {
                return ContractRun(end: end, status: 0, fields: [], body: [], gas: run.gas)
            }
            if addedFields.contains(name) { continue }
            run.fields.append(ContractField(name: name, value: field.value))
        }
        run.fields.sort { $0.name < $1.name }
        run.body = Array(buffer: try await response.body.collect(upTo: ContractCase.maxFileBytes))
        return run
    }
}

extension ContractEnd {
    /// The end that a record of a call names.
    fileprivate init?(word: String) {
        switch word {
        case "out-of-gas": self = .outOfGas
        case "stack-exhausted": self = .stackExhausted
        case "trap", "limit": self = .trap
        default: return nil
        }
    }
}
