// weft contract build

import ArgumentParser
import Gateway
import IPLD
import WasmRules
import Weft

struct BuildContract: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build", abstract: "Compile a contract and check it by the rules.",
        discussion: """
            The module is .build/NAME.wasm in the contract's folder. Swift and C are compiled by \
            the Swift toolchain; C with a main becomes a WASI command, for which Debian's packages \
            wasi-libc and libclang-rt-dev-wasm32 are needed. A folder with Cargo.toml is \
            compiled by cargo. The interface is in .build/kit/include/weft.h. With --json an \
            object with file, bytes and methods is printed.


            """
                + Examples.text(
                    ("weft contract build", "build the one in this folder"),
                    ("weft contract build hello", "build another")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "The contract's folder.", completion: .directory)
    var folder = "."

    func run() async throws {
        let project = try ContractProject(folder)
        let module = try await project.build()
        if common.json {
            return try StandardOutput.line(
                JSONText.text(
                    of: .object([
                        "file": .string(project.moduleFile), "bytes": .number(module.bytes.count),
                        "methods": .list(module.methods.map { .string($0.name) }),
                    ])))
        }
        let size = HumanBytes.text(UInt64(module.bytes.count))
        try StandardOutput.line(
            "\(StandardOutput.dim("built")) \(project.moduleFile) (\(size))")
    }
}
