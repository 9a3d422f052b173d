"""A site on this machine for the example: pages that link to each other, each after as long as a real server takes."""
import http.server
import time


class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    delay = 0.1

    def do_GET(self):
        time.sleep(self.delay)
        number = int(self.path.strip("/").split(".")[0])
        links = "".join('<li><a href="/%d.html">page %d</a></li>' % (n, n) for n in range(number, number + 20))
        text = "<p>%s</p>" % ("Threads wait well. " * 200)
        body = ("<html><head><title>Page %d</title></head><body><ul>%s</ul>%s</body></html>" % (number, links, text)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


def start():
    """Starts it in a process of its own; answers with that and with the address of the first page's folder."""
    import multiprocessing

    server = Server(("127.0.0.1", 0), Site)
    process = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
    process.start()
    return process, "http://127.0.0.1:%d" % server.server_address[1]
