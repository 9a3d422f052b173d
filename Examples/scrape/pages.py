"""What a page says: its title, its links, and how many words it has. Nothing here knows of Heddle."""
import html.parser
import urllib.request


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.title, self.links, self.words, self.tag = "", [], 0, None

    def handle_starttag(self, tag, attributes):
        self.tag = tag
        if tag == "a":
            self.links += [value for name, value in attributes if name == "href"]

    def handle_endtag(self, tag):
        self.tag = None

    def handle_data(self, data):
        if self.tag == "title":
            self.title += data
        self.words += len(data.split())


def scrape(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode(answer.headers.get_content_charset() or "utf-8")
    page = Page()
    page.feed(text)
    return {"title": page.title, "links": page.links, "words": page.words}
