import CCurl
import Heddle

/// What a page says.
struct Page: Codable, Equatable, Sendable {
  var title: String
  var links: [String]
  var words: Int
}

/// Fetches a page and parses it, in plain blocking calls: what waits in them is a thread of the executor and nobody else.
struct Scrape: Job {
  var url: String

  func run() async throws -> Page { try Document(html: fetch(url)).page }
}

struct FetchFailure: Error, Codable {
  var url: String
  var reason: String
}

/// The body of a page.
func fetch(_ url: String) throws -> [UInt8] {
  func failed(_ code: CURLcode) -> FetchFailure { FetchFailure(url: url, reason: String(cString: curl_easy_strerror(code))) }
  guard let handle = curl_easy_init() else { throw failed(CURLE_FAILED_INIT) }
  defer { curl_easy_cleanup(handle) }
  curl_set_text(handle, CURLOPT_URL, url)
  curl_set_number(handle, CURLOPT_TIMEOUT, 30)
  curl_set_number(handle, CURLOPT_FOLLOWLOCATION, 1)
  curl_set_number(handle, CURLOPT_FAILONERROR, 1)
  // No signals: other threads run.
  curl_set_number(handle, CURLOPT_NOSIGNAL, 1)
  var body: [UInt8] = []
  let code = withUnsafeMutablePointer(to: &body) { body in
    curl_set_writer(
      handle,
      { data, size, count, target in
        let bytes = UnsafeRawBufferPointer(start: data, count: size * count)
        target?.assumingMemoryBound(to: [UInt8].self).pointee.append(contentsOf: bytes)
        return size * count
      }, body)
    return curl_easy_perform(handle)
  }
  guard code == CURLE_OK else { throw failed(code) }
  return body
}
