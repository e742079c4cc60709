// swift-tools-version: 6.3
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let core: Target.Dependency = .product(name: "Core", package: "Core")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(
    name: "HummingbirdCore", package: "hummingbird")
let httpClient: Target.Dependency = .product(
    name: "AsyncHTTPClient", package: "async-http-client")

let serviceLifecycle: Target.Dependency = .product(
    name: "ServiceLifecycle", package: "swift-service-lifecycle")

let package = Package(
    name: "weft",
    products: [
        .executable(name: "weft", targets: ["weft"]),
        .library(name: "Weft", targets: ["Weft"]),
    ],
    dependencies: [
        .package(path: "Core"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-asn1.git", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-certificates.git", from: "1.21.0"),
        .package(url: "https://github.com/apple/swift-collections.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
        .package(
            url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0",
            traits: []),
        .package(url: "https://github.com/LebJe/TOMLKit.git", from: "0.6.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(
            url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.9.0"),
    ],
    targets: [
        .target(
            name: "BlockStore",
            dependencies: [
                core, nioCore, nioPosix,
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ],
            swiftSettings: settings),
        .target(
            name: "CWebRTC",
            linkerSettings: [
                .linkedLibrary("usrsctp"), .linkedLibrary("ssl"), .linkedLibrary("crypto"),
            ]),
        .target(
            name: "Transports",
            dependencies: [
                core, "CWebRTC", nioCore, nioPosix, nioHTTP1,
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "NIOWebSocket", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: settings),
        .target(name: "CWasmtime"),
        .target(
            name: "WasmEngine",
            dependencies: [
                core, "CWasmtime", nioCore,
                .product(name: "DequeModule", package: "swift-collections"),
            ],
            swiftSettings: settings),
        .target(
            name: "Weft",
            dependencies: [
                core, "BlockStore", "Transports", "WasmEngine", "CMiniUPnPc", nioCore, nioPosix,
                nioHTTP1,
                httpTypes, logging, httpClient,
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "TOMLKit", package: "TOMLKit"),
            ],
            swiftSettings: settings),
        .target(
            name: "Gateway",
            dependencies: [
                core, "BlockStore", "Weft", nioCore, nioPosix, nioHTTP1, httpTypes, logging,
                hummingbird, hummingbirdCore, serviceLifecycle,
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "HummingbirdHTTP2", package: "hummingbird"),
            ],
            swiftSettings: settings),
        .target(
            name: "ContractKit", path: "contracts", exclude: ["examples"],
            sources: ["ContractKit.swift"],
            resources: [
                "compile", "include/weft.h", "include/module.modulemap", "swift/Weft.swift",
                "runtime/freestanding.c", "runtime/freestanding.h", "host/contract.mjs",
                "host/identity.mjs", "host/wasi.mjs", "host/weft-host.mjs",
                "templates/template.swift", "templates/template.c", "templates/rust/Cargo.toml",
                "templates/rust/lib.rs", "templates/greet.request", "templates/greet.response",
            ].map { .embedInCode($0) },
            swiftSettings: settings),
        .systemLibrary(name: "CMalloc"),
        .systemLibrary(name: "CMimalloc", providers: [.apt(["libmimalloc-dev"])]),
        .systemLibrary(name: "CMiniUPnPc", providers: [.apt(["libminiupnpc-dev"])]),
        .executableTarget(
            name: "weft",
            dependencies: [
                core, "CMimalloc", "ContractKit", "BlockStore", "Weft", "Gateway", nioCore,
                nioPosix,
                nioHTTP1, httpTypes, logging,
                httpClient, hummingbird, serviceLifecycle,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "peer-bench", dependencies: [core, "CMimalloc", "Transports", nioCore, nioPosix],
            path: "bench/peer", swiftSettings: settings),
        .executableTarget(
            name: "store-bench", dependencies: [core, "BlockStore", nioCore],
            path: "bench/store", swiftSettings: settings),
        .executableTarget(
            name: "calls-bench", dependencies: [core, "CMimalloc", "Weft", nioCore, httpTypes],
            path: "bench/calls", swiftSettings: settings),
        .executableTarget(
            name: "engine-bench",
            dependencies: [core, "CMimalloc", "CWasmtime", "WasmEngine", "Weft", nioCore],
            path: "bench/engine",
            swiftSettings: settings),
        .target(name: "ContractText", path: "Tests/ContractText", swiftSettings: settings),
        .target(
            name: "LyingWorker", dependencies: [core, "Weft"], path: "Tests/LyingWorker",
            swiftSettings: settings),
        .testTarget(
            name: "BlockStoreTests", dependencies: [core, "BlockStore", nioCore],
            swiftSettings: settings),
        .testTarget(
            name: "TransportsTests",
            dependencies: [
                core, "CWebRTC", "Transports", nioCore, nioPosix,
                .product(name: "TestSupport", package: "Core"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "WasmEngineTests",
            dependencies: [core, "ContractText", "CWasmtime", "WasmEngine", nioCore],
            swiftSettings: settings),
        .testTarget(
            name: "WeftTests",
            dependencies: [
                core, "CMalloc", "BlockStore", "ContractText", "LyingWorker", "WasmEngine", "Weft",
                nioCore,
                nioPosix, nioHTTP1, httpTypes, logging, httpClient,
                .product(name: "TestSupport", package: "Core"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "GatewayTests",
            dependencies: [
                core, "ContractText", "Weft", "Gateway", nioCore, nioPosix, nioHTTP1, httpTypes,
                logging, httpClient, hummingbird, serviceLifecycle,
                .product(name: "HummingbirdTesting", package: "hummingbird"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "CommandTests",
            dependencies: [core, "ContractText", "LyingWorker", "weft", "Weft"],
            swiftSettings: settings),
        .testTarget(name: "TidyTests", swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
