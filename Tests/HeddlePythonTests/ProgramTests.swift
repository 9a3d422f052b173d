import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

/// Real packages, each in every mode that can run it.
@Suite(.timeLimit(.minutes(10)), .serialized)
struct ProgramTests: Sendable {
  static let settings =
    ["3.8.18", "3.13.0", "3.14"].map { Setting(mode: .processes, version: $0) }
    + [Setting(mode: .threads, version: "3.13.0"), Setting(mode: .freeThreaded, version: "3.13t")]
    + ["3.13.0", "3.14"].map { Setting(mode: .interpreters, version: $0) }
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try folder.write(
      "spectrum.py",
      """
      import numpy
      def peak(cycles):
          wave = numpy.sin(numpy.arange(4096) * 2 * numpy.pi * cycles / 4096)
          return {"peak": numpy.abs(numpy.fft.rfft(wave)).argmax(), "grid": numpy.arange(6, dtype="int32").reshape(2, 3)}
      """)
    try folder.write(
      "picture.py",
      """
      from PIL import Image, ImageFilter
      def thumbnail(path, number):
          name = "%s-%d.png" % (path, number)
          Image.new("RGB", (640, 480), (number, 30, 200)).save(name)
          with Image.open(name) as image:
              image = image.filter(ImageFilter.GaussianBlur(2))
              image.thumbnail((64, 64))
              return {"size": image.size, "mode": image.mode, "pixel": image.getpixel((5, 5))}
      """)
    try folder.write(
      "page.py",
      """
      import requests
      def fetch(url):
          answer = requests.get(url, timeout=20)
          answer.raise_for_status()
          return answer.json()
      """)
    try folder.write(
      "server.py",
      """
      import http.server, threading
      class Handler(http.server.BaseHTTPRequestHandler):
          def do_GET(self):
              body = b'{"page": %s}' % self.path.strip("/").encode()
              self.send_response(200)
              self.send_header("Content-Type", "application/json")
              self.send_header("Content-Length", str(len(body)))
              self.end_headers()
              self.wfile.write(body)
          def log_message(self, *_): pass
      def start():
          "Serves as long as its worker lives."
          server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
          threading.Thread(target=server.serve_forever, daemon=True).start()
          return server.server_address[1]
      """)
  }
  struct Spectrum: Decodable, Equatable {
    var peak: Int
    var grid: [[Int]]
  }
  struct Picture: Decodable, Equatable {
    var size: [Int]
    var mode: String
    var pixel: [Int]
  }

  @Test(arguments: settings)
  func `NumPy runs where it can`(setting: Setting) async throws {
    let loaded = try await run(setting, needs: "numpy", count: 8) { number in
      PythonCall<Spectrum>("\(folder.path)/spectrum.py:peak", number + 3)
    } expected: { number in
      Spectrum(peak: number + 3, grid: [[0, 1, 2], [3, 4, 5]])
    }
    // It says itself that it does not.
    #expect(loaded == (setting.mode != .interpreters))
  }
  @Test(arguments: settings)
  func `Pillow runs where it can`(setting: Setting) async throws {
    let loaded = try await run(setting, needs: "PIL", count: 8) { number in
      PythonCall<Picture>("\(folder.path)/picture.py:thumbnail", "\(folder.path)/picture", number)
    } expected: { number in
      Picture(size: [64, 48], mode: "RGB", pixel: [number, 30, 200])
    }
    #expect(loaded || setting.mode == .interpreters || setting.mode == .freeThreaded)
  }
  @Test(arguments: settings)
  func `requests runs where it can`(setting: Setting) async throws {
    let loaded = try await withExecutor(PythonExecutor(maxWorkers: 1)) { (server) async throws in
      let port = try await server.submit(PythonCall<Int>("\(folder.path)/server.py:start")).value
      return try await run(setting, needs: "requests", count: 16) { number in
        PythonCall<[String: Int]>("\(folder.path)/page.py:fetch", "http://127.0.0.1:\(port)/\(number)")
      } expected: { number in
        ["page": number]
      }
    }
    #expect(loaded || setting.mode == .interpreters || setting.mode == .freeThreaded)
  }

  /// Makes calls at once and compares what they give.
  ///
  /// - Returns: Whether the package loads there; where it does not, the error was as it is documented.
  private func run<Output: Decodable & Equatable & Sendable>(
    _ setting: Setting, needs package: String, count: Int, call: (Int) -> PythonCall<Output>, expected: (Int) -> Output
  ) async throws -> Bool {
    guard let base = try setting.python() else { return false }
    let python = try PackageEnvironment.python(base, version: setting.version ?? "")
    return try await withExecutor(PythonExecutor(maxWorkers: 2, mode: setting.mode, python: python)) { (executor) async throws in
      let futures = (0..<count).map { executor.submit(call($0)) }
      for (number, future) in futures.enumerated() {
        do { #expect(try await future.value == expected(number)) } catch let error as PythonTargetError {
          #expect(error.reason == .unsuitedModule && error.message.contains(".processes"), "\(error)")
          #expect(error.message.lowercased().contains(package.lowercased()) || package == "requests", "\(error)")
          return false
        }
      }
      return true
    }
  }
}

/// Virtual environments with the packages, one a Python, kept under `.build`.
enum PackageEnvironment {
  private static let lock = NSLock()
  private static let packages = ["numpy", "pillow", "requests"]

  /// The interpreter of the environment; the test is skipped where the packages cannot be had.
  static func python(_ base: String, version: String) throws -> String {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let folder = root.appending(path: ".build/test-environments/\(version)").path
    let python = "\(folder)/bin/python3"
    let mark = "\(folder)/complete"
    lock.lock()
    defer { lock.unlock() }
    if FileManager.default.fileExists(atPath: mark) { return python }
    // A virtual environment looks for its library beside the interpreter itself, not beside a link to it.
    let base = Files.resolved(base)
    // pip of the Python that is found without a name installs for others, some of which have none; a new one, which knows
    // the files for free-threaded builds.
    let own = "\(root.path)/.build/test-environments/pip"
    let pip = "\(own)/bin/python3"
    let upgrade =
      FileManager.default.isExecutableFile(atPath: "\(own)/bin/pip")
      ? [] : [[try PythonInterpreter.find().executable, "-m", "venv", own], [pip, "-m", "pip", "install", "-q", "-U", "pip"]]
    for arguments in upgrade + [
      [base, "-m", "venv", "--without-pip", "--clear", folder],
      [pip, "-m", "pip", "--python", python, "install", "-q", "--disable-pip-version-check", "--only-binary", ":all:"]
        + packages,
    ] {
      let run = try ChildProcess.run(path: arguments[0], arguments: arguments, environment: ChildProcess.environment, limit: .seconds(240))
      guard run.exit == .code(0) else {
        let reason = String(decoding: run.standardError, as: UTF8.self).split(separator: "\n").last ?? ""
        try Test.cancel("no \(packages.joined(separator: ", ")) for Python \(version): \(reason)")
      }
    }
    _ = FileManager.default.createFile(atPath: mark, contents: nil)
    return python
  }
}
