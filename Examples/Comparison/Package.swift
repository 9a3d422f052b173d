// swift-tools-version:6.2
import PackageDescription

// What the Swift halves of the examples share: timing a way of running, and a line of the table for it.
let package = Package(
  name: "Comparison",
  products: [.library(name: "Comparison", targets: ["Comparison"])],
  targets: [.target(name: "Comparison")],
  swiftLanguageModes: [.v6]
)
