#!/usr/bin/env python3
"""A publisher's backend that asks the sidecar by itself: backend.py PORT SIDECAR, such as backend.py 8080 127.0.0.1:8802.

Every request is described to POST /v1/settle. What that answers with 200 is served, what it answers otherwise is passed on as it is.
/articles/lost-* stand for an article that cannot be delivered after it was paid for: the payment is given back.
"""

import http.client
import http.server
import json
import sys

PORT, SIDECAR = int(sys.argv[1]), sys.argv[2]


def ask(path, question):
    connection = http.client.HTTPConnection(SIDECAR, timeout=120)
    connection.request("POST", path, json.dumps(question), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.getheaders(), answer.read()


class Backend(http.server.BaseHTTPRequestHandler):
    def answer(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        question = {"method": self.command, "url": self.path}
        for name in ("Authorization", "Accept-Payment", "Accept"):
            values = self.headers.get_all(name)
            if values:
                question[name.lower().replace("-", "_")] = ", ".join(values)
        try:
            status, headers, body = ask("/v1/settle", question)
        except OSError:
            status, headers, body = 503, [("Cache-Control", "no-store")], b""
        if status != 200:
            return self.answer(status, headers, body)
        paid = json.loads(body)
        if paid["state"] == "none":
            return self.answer(200, [("Cache-Control", "public, max-age=60")], b"free\n")
        if self.path.startswith("/articles/lost-"):
            _, _, body = ask("/v1/release", {"reference": paid["reference"], "refund": True})
            return self.answer(503, [("Cache-Control", "no-store")], body)
        headers = [("Cache-Control", "private"), ("Payment-Receipt", paid["receipt"])]
        return self.answer(200, headers, f"paid {self.path} {paid['amount']} reread={paid['reread']}\n".encode())

    do_HEAD = do_POST = do_GET

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Backend).serve_forever()
