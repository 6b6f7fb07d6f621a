"""The Farthing verifier in a Python backend, in process, over the C library `libfarthing_verifier`. Needs no package.

    verifier = farthing.Verifier(open("verifier.toml").read())
    decision = verifier.decide("GET", "/articles/one?page=2", request_headers)
    if decision.serve: ...            # with decision.headers
    else: ...                         # send decision.status, decision.headers and decision.body as they are

Every method may be called from any thread; while one waits for the mint, other threads run. Open the verifier in the process that uses
it: one that was forked off afterwards gets `Error` with the code `forked`.
"""

import ctypes
import json
import os
import re
import urllib.parse

ABI_VERSION = 1


class Error(Exception):
    """A call that did nothing. `code` is stable; after it, serve nothing."""

    def __init__(self, status, code, title):
        super().__init__(f"{title} ({code})")
        self.status, self.code = status, code


class Decision:
    """What to do with a request: serve it with `headers`, or send `status`, `headers` and `body` as they are."""

    def __init__(self, found):
        self.serve = found["decision"] == "serve"
        if not self.serve and found["decision"] != "answer":
            raise Error(None, "unknown-decision", "the library is of another version")
        self.payment = found.get("payment")
        self.status = found.get("status", 200)
        self.headers = [(name, value) for name, value in found["headers"]]
        self.body = found.get("body", "").encode()


class _Text(ctypes.Structure):
    _fields_ = [("bytes", ctypes.POINTER(ctypes.c_ubyte)), ("length", ctypes.c_size_t)]


def _load(path):
    library = ctypes.CDLL(path or os.environ.get("FARTHING_LIBRARY") or "libfarthing_verifier.so")
    handle, text, text_in, size = ctypes.c_uint64, ctypes.POINTER(_Text), ctypes.c_char_p, ctypes.c_size_t
    library.farthing_abi_version.restype = ctypes.c_uint32
    if library.farthing_abi_version() != ABI_VERSION:
        raise Error(None, "abi-version", "the library is of another version")
    library.farthing_open.argtypes = [text_in, size, ctypes.POINTER(handle), text]
    library.farthing_close.argtypes = [handle]
    for name in ("decide", "check", "refund"):
        getattr(library, f"farthing_{name}").argtypes = [handle, text_in, size, text]
    for name in ("proofs", "ready", "metrics"):
        getattr(library, f"farthing_{name}").argtypes = [handle, text]
    library.farthing_text_free.argtypes = [text]
    library.farthing_text_free.restype = None
    return library


class Verifier:
    """A verifier that is open. Settings are a text in TOML or JSON, or a dict: the sidecar's (docs/publisher.md)."""

    def __init__(self, settings, library=None):
        self._handle = ctypes.c_uint64(0)
        self._library = _load(library)
        data = (settings if isinstance(settings, str) else json.dumps(settings)).encode()
        self._call(self._library.farthing_open, data, len(data), ctypes.byref(self._handle))

    def _call(self, function, *arguments):
        text = _Text()
        status = function(*arguments, ctypes.byref(text))
        try:
            answer = ctypes.string_at(text.bytes, text.length).decode() if text.bytes else ""
        finally:
            self._library.farthing_text_free(ctypes.byref(text))
        if status != 0:
            why = json.loads(answer) if answer else {"code": "bad-argument", "title": "a bad argument"}
            raise Error(status, why["code"], why["title"])
        return answer

    def _ask(self, function, method, url, headers):
        pairs = headers.items() if hasattr(headers, "items") else headers
        question = json.dumps({"method": method, "url": url, "headers": [list(pair) for pair in pairs]}).encode()
        return json.loads(self._call(function, self._handle, question, len(question)))

    def decide(self, method, url, headers=()):
        """Decides about a request. `url` is path and query as the reader spelled them."""
        return Decision(self._ask(self._library.farthing_decide, method, url, headers))

    def check(self, method, url, headers=()):
        """Checks a request's payment and changes nothing. It is no payment: serve for `decide` alone."""
        return self._ask(self._library.farthing_check, method, url, headers)

    def refund(self, reference):
        """Gives a payment back. `Error` with the status 5: ask again; 6: it will not be done."""
        data = reference.encode()
        return json.loads(self._call(self._library.farthing_refund, self._handle, data, len(data)))

    def proofs(self):
        """The double-spend proofs kept."""
        return json.loads(self._call(self._library.farthing_proofs, self._handle))["proofs"]

    def ready(self):
        """Raises `Error` unless payments can be decided now."""
        self._call(self._library.farthing_ready, self._handle)

    def metrics(self):
        """Counters for Prometheus."""
        return self._call(self._library.farthing_metrics, self._handle)

    def close(self):
        """Waits for what is on its way and lets go of the data. Closing twice does nothing."""
        self._library.farthing_close(self._handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


_REASONS = {204: "No Content", 400: "Bad Request", 402: "Payment Required", 500: "Internal Server Error", 503: "Service Unavailable"}


class Paywall:
    """WSGI middleware. What the application serves, it serves for a payment or because it is free; `environ["farthing.payment"]` is the
    payment or None. The application never sees the credential."""

    def __init__(self, application, verifier):
        self.application, self.verifier = application, verifier

    def __call__(self, environ, start_response):
        headers = [(name[5:].replace("_", "-"), value) for name, value in environ.items() if name.startswith("HTTP_")]
        spelled = _spelled(environ)
        # The application must be asked for the path that was decided about: some servers let a header named SCRIPT_NAME move it.
        path = urllib.parse.unquote(spelled.split("?", 1)[0], "latin-1")
        moved = any(name in environ for name in ("HTTP_SCRIPT_NAME", "HTTP_PATH_INFO"))
        if moved or path != environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""):
            start_response("400 Bad Request", [("Cache-Control", "no-store")])
            return [b""]
        try:
            decision = self.verifier.decide(environ["REQUEST_METHOD"], spelled, headers)
        except Error:
            # Nothing is decided: nothing is served, free pages neither.
            start_response("503 Service Unavailable", [("Cache-Control", "no-store"), ("Retry-After", "5")])
            return [b""]
        if not decision.serve:
            start_response(f"{decision.status} {_REASONS.get(decision.status, 'Refused')}", decision.headers)
            return [decision.body]
        environ["farthing.payment"] = decision.payment
        # A credential may come for a page that is free meanwhile: it is money all the same.
        if decision.payment is not None or re.search(r"(^|,)\s*payment\s", environ.get("HTTP_AUTHORIZATION", ""), re.IGNORECASE):
            environ.pop("HTTP_AUTHORIZATION", None)
        marks = {name for name, _ in decision.headers} - {"vary"}

        def marked(status, headers, exc_info=None):
            success = status.startswith("2")
            kept = [(name, value) for name, value in headers if name.lower() not in marks]
            added = [(name, value) for name, value in decision.headers if success or name != "payment-receipt"]
            return start_response(status, kept + added, exc_info)

        return self.application(environ, marked)


def _spelled(environ):
    """Path and query as the reader spelled them, if the server tells; otherwise in the plain spelling, which most readers use."""
    for name in ("REQUEST_URI", "RAW_URI"):
        if name in environ:
            return environ[name]
    path = urllib.parse.quote(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""), "/~!$&'()*+,;=:@-._", "latin-1")
    return path + ("?" + environ["QUERY_STRING"] if environ.get("QUERY_STRING") else "")
