// swift-tools-version: 6.3
import PackageDescription

// `Fuzz/run` passes the sanitizer's flags, which also link libFuzzer.
//
// `Weft`, `Gateway` and `CWebRTC` are links to the parsers of the root package: these few files
// need none of what it depends on but two small packages, so that all is built in a minute or two.
let package = Package(
    name: "Fuzz",
    dependencies: [
        .package(name: "Core", path: "../Core"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
    ],
    targets: [
        .target(name: "CLibFuzzer"),
        .target(
            name: "CWebRTC",
            linkerSettings: [
                .linkedLibrary("usrsctp"), .linkedLibrary("ssl"), .linkedLibrary("crypto"),
            ]),
        .target(
            name: "Weft",
            dependencies: [
                .product(name: "Core", package: "Core"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
        .target(
            name: "Gateway",
            dependencies: ["Weft", .product(name: "NIOCore", package: "swift-nio")]),
        .executableTarget(
            name: "fuzz",
            dependencies: [
                "CLibFuzzer", "CWebRTC", "Weft", "Gateway", .product(name: "Core", package: "Core"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)
