// swift-tools-version:6.2
import PackageDescription

// The Swift half of the example. ffmpeg is a program, which swift-subprocess starts.
let package = Package(
  name: "video",
  platforms: [.macOS(.v26)],
  dependencies: [
    .package(name: "heddle", path: "../.."), .package(path: "../Comparison"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
  ],
  targets: [
    .executableTarget(
      name: "Video",
      dependencies: [
        "Comparison", .product(name: "Heddle", package: "heddle"), .product(name: "Subprocess", package: "swift-subprocess"),
        .product(name: "SystemPackage", package: "swift-system"),
      ])
  ],
  swiftLanguageModes: [.v6]
)
