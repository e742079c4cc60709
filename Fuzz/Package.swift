// swift-tools-version: 6.3
import PackageDescription

// libFuzzer brings `main`; `Fuzz/run` passes the sanitizer's flags.
let package = Package(
    name: "Fuzz",
    dependencies: [.package(name: "Core", path: "../Core")],
    targets: [
        .executableTarget(name: "fuzz", dependencies: [.product(name: "Core", package: "Core")])
    ],
    swiftLanguageModes: [.v6]
)
