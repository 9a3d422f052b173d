// swift-tools-version:6.2
import PackageDescription

// A package as a user of Heddle would write it: it knows nothing but the public interface. Scripts/check-outside.sh builds and runs it
// in every way in which a program can be linked.
let package = Package(
  name: "Outside",
  platforms: [.macOS(.v26)],
  dependencies: [.package(name: "heddle", path: "../..")],
  targets: [
    .executableTarget(
      name: "Outside",
      dependencies: [.product(name: "Heddle", package: "heddle"), .product(name: "HeddlePython", package: "heddle")]),
    .testTarget(name: "OutsideTests", dependencies: [.product(name: "Heddle", package: "heddle")]),
  ],
  swiftLanguageModes: [.v6]
)
