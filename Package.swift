// swift-tools-version:6.2
import PackageDescription

// Heddle: one executor interface over threads, processes and Python interpreters.
// The layers and why each target exists: README.md, "How it is built". Imports only go down; Scripts/check-layers.sh holds them to it.

let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

// Tests handle pointers on purpose, to break things; they need not say so at each.
let tests: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let package = Package(
  name: "heddle",
  platforms: [.macOS(.v26)],
  products: [
    .library(name: "Heddle", targets: ["Heddle"]),
    .library(name: "HeddlePython", targets: ["HeddlePython"]),
    .executable(name: "heddle", targets: ["HeddleCommand"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    // Runs plain commands. Without its trait for Foundation, which would double the tool's start.
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
    // Results for those who query them.
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    // Options from a file and the environment.
    .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
  ],
  targets: [
    // Layer 0: the one importer of libc headers.
    .target(name: "CHeddle", cSettings: [.define("_GNU_SOURCE")]),
    // Layer 1: pointers, pids and descriptors with owners.
    .target(name: "HeddleSystem", dependencies: ["CHeddle"], swiftSettings: strict),
    // Layer 1: bytes that another process wrote or will read.
    .target(
      name: "HeddleWire", dependencies: ["CHeddle"], exclude: ["Codec/README.md", "Transport/README.md"], swiftSettings: strict),
    // Layer 2: what a user imports.
    .target(
      name: "Heddle", dependencies: ["HeddleSystem", "HeddleWire", "CHeddle"],
      exclude: ["Map/README.md", "Processes/README.md", "Processes/Death/README.md", "Shared/README.md", "Threads/README.md"],
      swiftSettings: strict),
    // Layer 3: Python interpreters as workers.
    .target(
      name: "HeddlePython", dependencies: ["Heddle", "HeddleSystem", "HeddleWire"],
      exclude: ["Bridge/README.md"],
      resources: [
        "load", "start_once", "start_worker", "bridge", "transport", "targets", "shared", "values", "worker", "loop", "interpreters",
        "entry",
      ].map { .embedInCode("Bridge/\($0).py") },
      swiftSettings: strict),
    // Layer 4: the command-line tool.
    .executableTarget(
      name: "HeddleCommand",
      dependencies: [
        "Heddle", "HeddlePython", "HeddleSystem", .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Subprocess", package: "swift-subprocess"), .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "GRDB", package: "GRDB.swift"), .product(name: "Configuration", package: "swift-configuration"),
      ],
      swiftSettings: strict),
    .testTarget(name: "HeddleWireTests", dependencies: ["HeddleWire"], exclude: ["Corpus"], swiftSettings: tests),
    .testTarget(name: "HeddleTests", dependencies: ["Heddle", "HeddleSystem", "HeddleWire"], swiftSettings: tests),
    .testTarget(
      name: "HeddlePythonTests", dependencies: ["HeddlePython", "Heddle", "HeddleSystem"], exclude: ["bridge_tests.py"],
      swiftSettings: tests),
    .testTarget(
      name: "HeddleCommandTests", dependencies: ["HeddleCommand", "HeddlePython", "HeddleSystem"], exclude: ["tool_tests.py", "tool"],
      swiftSettings: tests),
  ],
  swiftLanguageModes: [.v6]
)
