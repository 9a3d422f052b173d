import Glibc
import HeddleSystem
import Testing

extension Core {
  /// Our reader of debug information against LLVM's, address by address.
  @Suite struct DebugInformationTests {
    /// A program in the way of a release build: nearly everything is inlined.
    private static let program = """
      struct Careless { var n: Int
        func run() async throws -> Int {
          await Task.yield()
          return helper([1, 2, 3], n) }
      }
      func helper(_ a: [Int], _ i: Int) -> Int {
        if i == 100 { return a[i &- 90] + i }
        return other(a, i)
      }
      @inline(never) func other(_ a: [Int], _ i: Int) -> Int {
        let x: Int? = i > 5 ? nil : i
        let names = a.map { "\\($0)" }.sorted()
        return a[i] / x! + 255 - Int(UInt8(i)) + names[i].count + (0..<i).count
      }
      @main struct Program {
        static func main() async throws { print(try await Careless(n: CommandLine.arguments.count).run()) }
      }
      """
    private static func tool(_ name: String) -> String? {
      (text(of: "/proc/self/environ") ?? "").split(separator: "\0").first { $0.hasPrefix("PATH=") }?.dropFirst(5).split(separator: ":")
        .map { "\($0)/\(name)" }.first(where: Files.isExecutable)
    }
    private static func run(_ path: String, _ arguments: [String]) throws -> String {
      let output = try ChildProcess.run(
        path: path, arguments: [path] + arguments, environment: ChildProcess.environment, limit: .seconds(100), byteLimit: 64 << 20)
      if output.exit != .code(0) { Issue.record("\(path): \(String(decoding: output.standardError, as: UTF8.self))") }
      return String(decoding: output.standardOutput, as: UTF8.self)
    }
    private static let isEquipped = tool("swiftc") != nil && tool("llvm-symbolizer") != nil

    /// Compares `count` addresses of the code of a file; how many of them have debug information.
    private static func compare(_ path: String, count: Int, seed: UInt64) throws -> (known: Int, reasons: Set<String>) {
      let file = try MappedFile(path: path)
      let information = try #require(DebugInformation(file))
      var random = Seeded(seed)
      // The addresses of functions, from the same table that a linker writes.
      let symbols = try run(try #require(tool("nm") ?? tool("llvm-nm")), ["--defined-only", "--print-size", path])
      var names: [UInt64: Set<Substring>] = [:]
      let functions = symbols.split(separator: "\n").compactMap { line -> Range<UInt64>? in
        let fields = line.split(separator: " ")
        guard fields.count == 4, fields[2].lowercased() == "t", let start = UInt64(fields[0], radix: 16),
          let size = UInt64(fields[1], radix: 16), size > 0
        else { return nil }
        names[start, default: []].insert(fields[3])
        return start..<start + size
      }
      let addresses = (0..<count).map { _ in UInt64.random(in: functions.randomElement(using: &random)!, using: &random) }
      var known = 0
      var reasons: Set<String> = []
      for start in stride(from: 0, to: count, by: 1000) {
        let part = addresses[start..<min(start + 1000, count)]
        // A tool that reads a program of 200 MB takes ten seconds of a processor, which it may have to share with ten others.
        Watchdog.begin("llvm-symbolizer over \(path)")
        let arguments = ["--obj=\(path)", "--inlines", "--functions=linkage", "--no-demangle", "--output-style=LLVM"]
        let text = try run(tool("llvm-symbolizer")!, arguments + part.map { "0x" + String($0, radix: 16) })
        // One block an address: two lines a frame, then an empty one.
        var blocks: [[Substring]] = [[]]
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
          if line.isEmpty { blocks.append([]) } else { blocks[blocks.count - 1].append(line) }
        }
        for (address, block) in zip(part, blocks) {
          let expected = stride(from: 0, to: block.count - 1, by: 2).map { index -> String in
            // function, then path:line:column
            let place = block[index + 1].split(separator: ":", omittingEmptySubsequences: false)
            return "\(block[index]) \(tidy(place.dropLast(2).joined(separator: ":"))):\(place[place.count - 2])"
          }
          let frames = information.frames(at: address)
          let found = frames.map { "\($0.linkageName.isEmpty ? $0.name : $0.linkageName) \(tidy($0.file ?? "??")):\($0.line)" }
          // Where there is no debug information, theirs names the symbol and no file.
          if frames.isEmpty {
            #expect(block.count == 2 && block[1].hasSuffix(":0:0"), "0x\(String(address, radix: 16)): nothing, instead of \(expected)")
            // A function may have several names; which of them a tool takes is its own affair.
            if let symbol = information.symbol(at: address), block[0] != symbol {
              let isAlias = names.values.contains { $0.contains(block[0]) && $0.contains(symbol[...]) }
              #expect(isAlias, "0x\(String(address, radix: 16)): \(symbol) instead of \(block[0])")
            }
          } else {
            known += 1
            #expect(found == expected, "at 0x\(String(address, radix: 16))")
          }
          for frame in frames where frame.name.hasPrefix("Swift runtime failure: ") { reasons.insert(String(frame.name.dropFirst(23))) }
        }
      }
      return (known, reasons)
    }
    /// A path without the steps back and forth that one side leaves in.
    private static func tidy(_ path: String) -> String {
      var parts: [Substring] = []
      for part in path.split(separator: "/") where part != "." {
        if part == "..", !parts.isEmpty { parts.removeLast() } else { parts.append(part) }
      }
      return parts.joined(separator: "/")
    }

    @Test(.enabled(if: isEquipped), arguments: [4, 5]) func `each address of an optimized program is found as llvm-symbolizer finds it`(
      version: Int
    ) throws {
      let scratch = Scratch()
      let (source, binary) = (scratch.path("program.swift"), scratch.path("program"))
      append(Array(Self.program.utf8), to: source)
      _ = try Self.run(
        try #require(Self.tool("swiftc")),
        [
          "-O", "-g", "-dwarf-version=\(version)", "-parse-as-library", source, "-o", binary,
        ])
      let (known, reasons) = try Self.compare(binary, count: 2000, seed: 1)
      #expect(known > 1000)
      #expect(reasons.isSuperset(of: ["Index out of range", "arithmetic overflow"]), "\(reasons)")
    }
    @Test(.enabled(if: isEquipped)) func `each address of this program is found as llvm-symbolizer finds it`() throws {
      let (known, _) = try Self.compare(LoadedFile.executable, count: 200, seed: .random(in: 0...(.max)))
      #expect(known > 100)
    }
    @Test func `a file that is damaged gives nonsense and no trap`() throws {
      // A whole program would take long to change in many places: our own start of one is enough, with its tables behind it.
      let scratch = Scratch()
      var random = Seeded(3)
      let original = try Self.smallImage(scratch)
      for round in 0..<300 {
        var bytes = original
        for _ in 0..<Int.random(in: 1...40, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        if round % 10 == 0 { bytes.removeLast(Int.random(in: 1..<bytes.count, using: &random)) }
        let path = scratch.path("damaged\(round)")
        append(bytes, to: path)
        guard let information = DebugInformation(try MappedFile(path: path)) else { continue }
        for _ in 0..<30 {
          let address = UInt64.random(in: 0...0x8000, using: &random)
          _ = information.frames(at: address)
          _ = information.symbol(at: address)
          _ = information.address(ofFileOffset: address)
        }
      }
    }
    /// A program of a few functions with debug information; nonsense where no compiler is there.
    private static func smallImage(_ scratch: Scratch) throws -> [UInt8] {
      guard let compiler = tool("clang") else { return [UInt8](repeating: 0x7f, count: 4096) }
      let (source, binary) = (scratch.path("small.c"), scratch.path("small.so"))
      append(Array("static inline int f(int a) { return 7 / a; } int g(int a) { return f(a) + f(a + 1); }\n".utf8), to: source)
      _ = try run(compiler, ["-g", "-O2", "-shared", "-nostdlib", "-fPIC", source, "-o", binary])
      return try #require(bytes(of: binary))
    }
  }
}
