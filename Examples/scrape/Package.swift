// swift-tools-version:6.2
import PackageDescription

// The Swift half of the example. libcurl fetches and libxml2 parses: Debian's libcurl4-openssl-dev and libxml2-dev.
let package = Package(
  name: "scrape",
  platforms: [.macOS(.v26)],
  dependencies: [.package(name: "heddle", path: "../.."), .package(path: "../Comparison")],
  targets: [
    .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(name: "CXML", pkgConfig: "libxml-2.0", providers: [.apt(["libxml2-dev"])]),
    .executableTarget(
      name: "Scrape", dependencies: ["CCurl", "CXML", "Comparison", .product(name: "Heddle", package: "heddle")]),
  ],
  swiftLanguageModes: [.v6]
)
