// weft contract publish

import ArgumentParser
import Gateway
import IPLD
import WasmRules
import Weft

struct PublishContract: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish", abstract: "Add a contract, and print the URLs that call it.",
        discussion: """
            Publishing is adding: the module is checked by the rules, added and pinned, and its \
            CID is its name. A folder is built first. With --json an object with cid and urls is \
            printed.


            """
                + Examples.text(
                    ("weft contract publish hello", "build and publish"),
                    ("weft contract publish hello.wasm", "publish what is built")))

    @OptionGroup var common: CommonOptions

    @Flag(name: .shortAndLong, help: "Print the CID alone.")
    var quiet = false

    @Argument(help: "A module, or a contract's folder.", completion: .file())
    var path = "."

    func run() async throws {
        var file = path
        let module: ContractModule
        if WholeFile.kind(of: path) == .folder {
            let project = try ContractProject(path)
            module = try await project.build()
            file = project.moduleFile
        } else {
            module = try ContractModule(file: path)
        }
        let cid = try await added(file)
        let urls =
            module.isCommand
            ? ["weft://\(cid)/"] : module.methods.map { "weft://\(cid)/\($0.name)" }
        if quiet { return try StandardOutput.line(cid) }
        if common.json {
            return try StandardOutput.line(
                JSONText.text(
                    of: .object(["cid": .string(cid), "urls": .list(urls.map { .string($0) })])))
        }
        try StandardOutput.line(StandardOutput.bold(cid))
        for url in urls { try StandardOutput.line(url) }
    }

    /// Adds a file; its CID.
    private func added(_ file: String) async throws -> String {
        let request = Value.object([
            "paths": .list([.string(try LocalPath.absolute(file))]), "roots": .bool(true),
            "pin": .bool(true),
        ])
        var call = APICall("/weft/v1/add")
        call.body = .init("application/json", JSONText.bytes(of: request))
        let root = FoundRoot()
        try await LocalClient.with(common) { client in
            try await client.values(call) { event in
                if event["root"]?.flag == true { await root.take(event["cid"]?.text) }
            }
        }
        guard let cid = await root.cid else { throw CommandFailure("the node named no CID") }
        return cid
    }
}

/// The CID that adding came to.
private actor FoundRoot {
    private(set) var cid: String?

    func take(_ cid: String?) { self.cid = cid }
}
