# SPDX-License-Identifier: BSD-3-Clause
"""Answers each PUT with the SHA-256 of its body; SIGTERM ends it with code 0.

Usage: digest_server.py ADDRESS PORT
"""

from __future__ import annotations

import hashlib
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        digest = hashlib.sha256(self.rfile.read(int(self.headers["Content-Length"]))).hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(digest)))
        self.end_headers()
        self.wfile.write(digest)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test reads what the client got."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
