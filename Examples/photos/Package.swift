// swift-tools-version:6.2
import PackageDescription

// The Swift half of the example. GD reads, filters and writes the photos: Debian's libgd-dev.
let package = Package(
  name: "photos",
  platforms: [.macOS(.v26)],
  dependencies: [.package(name: "heddle", path: "../.."), .package(path: "../Comparison")],
  targets: [
    .systemLibrary(name: "CGD", pkgConfig: "gdlib", providers: [.apt(["libgd-dev"])]),
    .executableTarget(name: "Photos", dependencies: ["CGD", "Comparison", .product(name: "Heddle", package: "heddle")]),
  ],
  swiftLanguageModes: [.v6]
)
