// swift-tools-version: 6.3
import PackageDescription

// `Fuzz/run` passes the sanitizer's flags, which also link libFuzzer.
let package = Package(
    name: "Fuzz",
    dependencies: [.package(name: "Core", path: "../Core")],
    targets: [
        .target(name: "CLibFuzzer"),
        .executableTarget(
            name: "fuzz", dependencies: ["CLibFuzzer", .product(name: "Core", package: "Core")]),
    ],
    swiftLanguageModes: [.v6]
)
