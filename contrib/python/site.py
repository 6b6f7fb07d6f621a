#!/usr/bin/env python3
"""A publisher in Python: site.py SETTINGS PORT. The settings say what costs how much; the pages stand below."""

import signal
import socketserver
import sys
import threading
import wsgiref.simple_server

import farthing


def application(environ, start_response):
    path, payment = environ["PATH_INFO"], environ["farthing.payment"]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "public, max-age=60")])
    paid = f"{payment['state']} {payment['amount']} reread={str(payment['reread']).lower()}" if payment else "free"
    return [f"page {path} {paid} authorization={environ.get('HTTP_AUTHORIZATION', '')}\n".encode()]


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    def get_environ(self):
        # This server keeps the reader's spelling to itself; gunicorn and uWSGI tell it.
        return super().get_environ() | {"REQUEST_URI": self.path}

    def log_message(self, *_):
        pass  # Addresses and paths together would say who reads what.


class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


with open(sys.argv[1], encoding="utf-8") as settings:
    verifier = farthing.Verifier(settings.read())
with verifier, Server(("127.0.0.1", int(sys.argv[2])), Handler) as server:
    server.set_app(farthing.Paywall(application, verifier))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
