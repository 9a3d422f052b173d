import CXML

/// A page that was parsed, by libxml2's HTML parser, which takes what browsers take.
struct Document: ~Copyable {
  private let document: htmlDocPtr?

  init(html: [UInt8]) {
    let options = HTML_PARSE_RECOVER.rawValue | HTML_PARSE_NOERROR.rawValue | HTML_PARSE_NOWARNING.rawValue | HTML_PARSE_NONET.rawValue
    document = html.withUnsafeBytes {
      htmlReadMemory($0.baseAddress?.assumingMemoryBound(to: CChar.self), CInt($0.count), nil, "utf-8", CInt(options))
    }
  }
  deinit { xmlFreeDoc(document) }

  /// What the page says.
  var page: Page {
    let text = texts("//text()[not(ancestor::script or ancestor::style)]")
    return Page(
      title: texts("//title/text()").joined(), links: texts("//a/@href"),
      words: text.reduce(0) { $0 + $1.split(whereSeparator: \.isWhitespace).count })
  }

  /// The text of each node that an XPath expression names.
  private func texts(_ path: String) -> [String] {
    guard let context = xmlXPathNewContext(document) else { return [] }
    defer { xmlXPathFreeContext(context) }
    guard let found = xmlXPathEvalExpression(path, context) else { return [] }
    defer { xmlXPathFreeObject(found) }
    guard let nodes = found.pointee.nodesetval else { return [] }
    return (0..<Int(nodes.pointee.nodeNr)).compactMap { index in
      guard let content = xmlNodeGetContent(nodes.pointee.nodeTab[index]) else { return nil }
      defer { xml_free(content) }
      return String(cString: content)
    }
  }
}
