// swift-tools-version:6.2
import PackageDescription

// A package of its own, so that what it may need is not the user's. Scripts/measure.sh and Scripts/soak.sh build and run it.
let package = Package(
  name: "Benchmarks",
  platforms: [.macOS(.v26)],
  dependencies: [.package(name: "heddle", path: "..")],
  targets: [
    .executableTarget(name: "Measure", dependencies: [.product(name: "Heddle", package: "heddle")]),
    .executableTarget(name: "Soak", dependencies: [.product(name: "Heddle", package: "heddle")]),
  ],
  swiftLanguageModes: [.v6]
)
