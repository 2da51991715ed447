"""Stands between a client and a real server, and spoils the requests it is told to."""

from __future__ import annotations

import http.client
import http.server
import threading
import time
from collections.abc import Callable
from typing import Literal

Fault = Literal["500", "silent", "cut"]


class Proxy(http.server.ThreadingHTTPServer):
    """Forwards to `port` of 127.0.0.1. Only the first request to each path in `faults` is spoilt.

    500: answers so, and passes nothing on. silent: neither answers nor passes on. cut: passes the request on, and then
    closes the connection instead of passing the answer back.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Forwarding)
        self.target = port
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.faults: dict[str, Fault] = {}  # by the end of a path, such as runs/create
        self.before_create: Callable[[], object] = bool  # called while a runs/create is on its way
        self.spoilt: list[str] = []

    def __enter__(self) -> Proxy:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A client that gave up is what these tests are about."""


class _Forwarding(http.server.BaseHTTPRequestHandler):
    server: Proxy

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        end = next((end for end in self.server.faults if path.endswith(end)), "")
        fault = self.server.faults.pop(end, "")
        if fault:
            self.server.spoilt.append(end)
        if fault == "silent":
            time.sleep(60)
        if fault == "500":
            self.send_error(500)
        if fault in ("silent", "500"):
            return
        if path.endswith("runs/create"):
            self.server.before_create()
        server = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=60)
        server.request(self.command, self.path, body, dict(self.headers))
        answer = server.getresponse()
        content = answer.read()
        if fault != "cut":
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

    def log_message(self, *_: object) -> None:
        """Quiet."""
