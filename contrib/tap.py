#!/usr/bin/env python3
"""An HTTP proxy that writes down the last credential it passed on and the answer's headers: tap.py PORT FILE. For tests only."""

import http.client
import http.server
import json
import sys
import urllib.parse

PORT, FILE = int(sys.argv[1]), sys.argv[2]


class Tap(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        upstream = http.client.HTTPConnection(url.hostname, url.port, timeout=120)
        target = urllib.parse.urlunsplit(("", "", url.path, url.query, ""))
        headers = {name: value for name, value in self.headers.items() if not name.lower().startswith(("proxy-", "connection"))}
        upstream.request(self.command, target, body, headers)
        answer = upstream.getresponse()
        content = answer.read()
        if "Authorization" in self.headers:
            with open(FILE, "w", encoding="utf-8") as out:
                passed = {name.lower(): value for name, value in answer.getheaders()}
                json.dump({"authorization": self.headers["Authorization"], "status": answer.status, "headers": passed}, out)
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Tap).serve_forever()
