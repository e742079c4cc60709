// The files that the program carries for authors of contracts: the interface, what compiles and
// runs contracts, and templates. They are used from here by this repository too, and tested.

/// What an author of contracts needs.
public enum ContractKit {
    /// A file of the kit.
    public struct File: Sendable {
        /// Where it belongs, relative to the folder of all.
        public let path: String
        /// What is in it.
        public let bytes: [UInt8]
        /// Whether it is a program.
        public let isExecutable: Bool

        init(_ path: String, _ bytes: [UInt8], isExecutable: Bool = false) {
            self.path = path
            self.bytes = bytes
            self.isExecutable = isExecutable
        }
    }

    /// What `compile` and the second engine need.
    public static let files: [File] = [
        File("compile", PackageResources.compile, isExecutable: true),
        File("include/weft.h", PackageResources.weft_h),
        File("include/module.modulemap", PackageResources.module_modulemap),
        File("swift/Weft.swift", PackageResources.Weft_swift),
        File("runtime/freestanding.c", PackageResources.freestanding_c),
        File("runtime/freestanding.h", PackageResources.freestanding_h),
        File("host/contract.mjs", PackageResources.contract_mjs),
        File("host/identity.mjs", PackageResources.identity_mjs),
        File("host/wasi.mjs", PackageResources.wasi_mjs),
        File("host/weft-host.mjs", PackageResources.weft_host_mjs),
    ]

    /// The languages that there are templates for.
    public enum Language: String, CaseIterable, Sendable {
        case swift
        case c
        case rust
    }

    /// The files of a new contract.
    public static func template(_ language: Language) -> [File] {
        let sources: [File] =
            switch language {
            case .swift: [File("contract.swift", PackageResources.template_swift)]
            case .c: [File("contract.c", PackageResources.template_c)]
            case .rust:
                [
                    File("Cargo.toml", PackageResources.Cargo_toml),
                    File("src/lib.rs", PackageResources.lib_rs),
                ]
            }
        return sources + [
            File("tests/greet.request", PackageResources.greet_request),
            File("tests/greet.response", PackageResources.greet_response),
            File(".gitignore", Array(".build/\ntarget/\n".utf8)),
        ]
    }
}
