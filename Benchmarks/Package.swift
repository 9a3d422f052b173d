// swift-tools-version:6.2
import PackageDescription

// A package of its own, so that what it may need is not the user's. Scripts/measure.sh and Scripts/soak.sh build and run it.

let settings: [SwiftSetting] = [.enableUpcomingFeature("NonisolatedNonsendingByDefault"), .enableUpcomingFeature("ExistentialAny")]

let package = Package(
  name: "Benchmarks",
  platforms: [.macOS(.v26)],
  dependencies: [
    .package(name: "heddle", path: ".."),
    // A peer.
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
  ],
  targets: [
    // Clocks, /proc, and the peers that are plain C.
    .target(name: "CGauges", cSettings: [.define("_GNU_SOURCE")]),
    .target(name: "Gauges", dependencies: ["CGauges"], swiftSettings: settings),
    .target(name: "PoolStarts", dependencies: ["Gauges", .product(name: "Heddle", package: "heddle")], swiftSettings: settings),
    // Heddle alone, without Foundation or Dispatch, as its users have it: its workers are this program too.
    .executableTarget(
      name: "Measure", dependencies: ["Gauges", "CGauges", "PoolStarts", .product(name: "Heddle", package: "heddle")],
      swiftSettings: settings),
    // The same as servers are often linked. A flag of the linker alone: a build with --static-swift-stdlib would need all packages twice.
    .executableTarget(
      name: "StaticStart", dependencies: ["Gauges", "PoolStarts"], swiftSettings: settings,
      linkerSettings: [.unsafeFlags(["-static-stdlib"], .when(platforms: [.linux]))]),
    // Asked by Measure, in the run that they are compared in.
    .executableTarget(
      name: "PythonCalls", dependencies: ["Gauges", .product(name: "HeddlePython", package: "heddle")], swiftSettings: settings),
    .executableTarget(
      name: "SwiftPeers",
      dependencies: [
        "Gauges", "CGauges", .product(name: "NIOPosix", package: "swift-nio"), .product(name: "NIOCore", package: "swift-nio"),
      ], swiftSettings: settings),
    // Allocations, wake-ups, and work for strace and valgrind to count in: Scripts/check-counts.sh.
    .target(name: "CCounts"),
    .executableTarget(
      name: "Counts", dependencies: ["CCounts", "Gauges", .product(name: "Heddle", package: "heddle")], swiftSettings: settings),
    .executableTarget(name: "Soak", dependencies: ["Gauges", .product(name: "Heddle", package: "heddle")]),
  ],
  swiftLanguageModes: [.v6]
)
