import CCurl
import CXML
import Comparison
import Heddle

/// Scrapes the pages that are named: on one thread, on 8, in 8 processes.
///
/// Run by run.py.
@main
struct Main {
  static func main() async throws {
    // Once, before any thread: these libraries ask for it.
    curl_global_init(Int(CURL_GLOBAL_DEFAULT))
    xmlInitParser()
    let urls = Array(CommandLine.arguments.dropFirst())
    let one = try await scrape(urls, "one thread", ThreadPoolExecutor(maxWorkers: 1))
    let threads = try await scrape(urls, "8 threads", ThreadPoolExecutor(maxWorkers: 8))
    let processes = try await scrape(urls, "8 processes", ProcessPoolExecutor(maxWorkers: 8))
    precondition(one == threads && one == processes, "the ways gave other pages")
    for (url, page) in zip(urls, one) { print("result", url, page.title, page.links.count, page.words, separator: "\t") }
  }

  /// The pages in their order, wherever the executor runs the jobs.
  static func scrape(_ urls: [String], _ name: String, _ executor: some JobExecutor) async throws -> [Page] {
    try await measured(name) {
      try await withExecutor(executor) { executor in
        var pages: [Page] = []
        for try await page in executor.map(urls.map { Scrape(url: $0) }) { pages.append(page) }
        return pages
      }
    }
  }
}
