// swift-tools-version: 6.3
import PackageDescription

/// Settings of every Swift target here. All of them also compile as Embedded Swift for wasm32, so
/// what Embedded Swift refuses is an error in the host build too, as far as the compiler can tell.
let settings: [SwiftSetting] = [
    .enableExperimentalFeature("Lifetimes"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "Core",
    products: [
        .library(
            name: "Core",
            targets: [
                "Wire", "Cryptography", "Multiformats", "IPLD", "Exchange", "Connections",
                "Peering", "NodeCore", "WasmRules", "Compute",
            ]),
        .library(name: "TestSupport", targets: ["TestSupport"]),
        .library(name: "BrowserCore", type: .static, targets: ["BrowserCore"]),
    ],
    traits: [
        .trait(
            name: "HostCrypto",
            description: "Hash and sign with swift-crypto and the system's libsecp256k1."),
        .trait(
            name: "BrowserCrypto",
            description: "Encrypt and sign with Monocypher, which is linked into the module."),
        .default(enabledTraits: ["HostCrypto"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.0")
    ],
    targets: [
        .target(name: "Wire", swiftSettings: settings),
        .target(
            name: "Cryptography",
            dependencies: [
                "Wire",
                .product(
                    name: "Crypto", package: "swift-crypto",
                    condition: .when(traits: ["HostCrypto"])),
                .product(
                    name: "CryptoExtras", package: "swift-crypto",
                    condition: .when(traits: ["HostCrypto"])),
                .target(name: "CLibcrypto", condition: .when(traits: ["HostCrypto"])),
                .target(name: "CSecp256k1", condition: .when(traits: ["HostCrypto"])),
                .target(name: "CMonocypher", condition: .when(traits: ["BrowserCrypto"])),
            ],
            swiftSettings: settings),
        .systemLibrary(name: "CLibcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CSecp256k1", providers: [.apt(["libsecp256k1-dev"])]),
        .systemLibrary(name: "CMonocypher"),
        .target(
            name: "Multiformats", dependencies: ["Wire", "Cryptography"], swiftSettings: settings),
        .target(
            name: "IPLD", dependencies: ["Wire", "Cryptography", "Multiformats"],
            swiftSettings: settings),
        .target(
            name: "Exchange", dependencies: ["IPLD", "Multiformats", "Cryptography", "Wire"],
            swiftSettings: settings),
        .target(
            name: "TestSupport", dependencies: ["Cryptography", "Wire"], path: "Tests/TestSupport",
            swiftSettings: settings),
        .target(
            name: "Connections", dependencies: ["Multiformats", "Cryptography", "Wire"],
            swiftSettings: settings),
        .target(
            name: "Peering", dependencies: ["IPLD", "Multiformats", "Cryptography", "Wire"],
            swiftSettings: settings),
        .target(
            name: "NodeCore",
            dependencies: [
                "Peering", "Exchange", "Compute", "IPLD", "Multiformats", "Cryptography", "Wire",
            ],
            swiftSettings: settings),
        .target(name: "WasmRules", dependencies: ["Wire"], swiftSettings: settings),
        .target(
            name: "Compute", dependencies: ["IPLD", "Multiformats", "Cryptography", "Wire"],
            swiftSettings: settings),
        .target(
            name: "Simulation",
            dependencies: [
                "NodeCore", "Peering", "Exchange", "Compute", "IPLD", "Multiformats",
                "Cryptography", "Wire",
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "simulate", dependencies: ["Simulation", "Wire"], swiftSettings: settings),
        .testTarget(
            name: "WireTests", dependencies: ["Wire", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "CryptographyTests", dependencies: ["Cryptography", "Wire", "TestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "MultiformatsTests",
            dependencies: ["Multiformats", "Cryptography", "Wire", "TestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "IPLDTests",
            dependencies: ["IPLD", "Multiformats", "Cryptography", "Wire", "TestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "ExchangeTests",
            dependencies: ["Exchange", "IPLD", "Multiformats", "Wire", "TestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "ConnectionsTests",
            dependencies: ["Connections", "Multiformats", "Cryptography", "Wire", "TestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "PeeringTests",
            dependencies: [
                "Peering", "IPLD", "Multiformats", "Cryptography", "Wire", "TestSupport",
            ],
            swiftSettings: settings),
        .testTarget(
            name: "NodeCoreTests",
            dependencies: [
                "NodeCore", "Simulation", "Peering", "Exchange", "Compute", "IPLD", "Multiformats",
                "Cryptography", "Wire", "TestSupport",
            ],
            swiftSettings: settings),
        .testTarget(
            name: "WasmRulesTests", dependencies: ["WasmRules", "Wire", "TestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "ComputeTests",
            dependencies: [
                "Compute", "Simulation", "IPLD", "Multiformats", "Cryptography", "Wire",
                "TestSupport",
            ],
            swiftSettings: settings),
        .testTarget(
            name: "BrowserCoreTests",
            dependencies: [
                "BrowserCore", "Connections", "Peering", "Exchange", "IPLD", "Multiformats",
                "Cryptography", "Wire", "TestSupport",
            ],
            swiftSettings: settings),
        .target(name: "CFreestanding"),
        .target(
            name: "BrowserCore",
            dependencies: [
                "Connections", "Peering", "Exchange", "Compute", "WasmRules", "IPLD",
                "Multiformats", "Cryptography", "Wire", "CFreestanding",
                .target(name: "CMonocypher", condition: .when(traits: ["BrowserCrypto"])),
            ],
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
