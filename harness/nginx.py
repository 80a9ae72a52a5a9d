#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Becomes nginx with one worker that serves one file: the body that all servers of this project give.

Usage: nginx.py DIRECTORY ADDRESS PORT BODY_SIZE MAX_CONNECTIONS -- WORDS…   WORDS end with nginx's own name.
Writes DIRECTORY/nginx.conf, which stays as a record of how it was configured; the file that it serves has no name.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Sequence

ROOT = Path(__file__).resolve().parent.parent
# The file is kept open and its size in mind, as nginx's manual has it for static files; nothing is logged a request.
CONFIG = """\
daemon off; master_process off; worker_processes 1; user root;
pid {directory}/nginx.pid; error_log stderr warn;
events {{ worker_connections {max_connections}; multi_accept on; }}
http {{
    access_log off; server_tokens off; etag off; default_type "";
    sendfile on; tcp_nodelay on; open_file_cache max=16 inactive=1h; open_file_cache_valid 1h;
    keepalive_requests 1000000000000; keepalive_timeout 1h;
    client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
    uwsgi_temp_path {directory}; scgi_temp_path {directory};
    server {{
        listen {address}:{port} backlog=4096;
        location = /body {{ alias {body}; }}
        location = /status {{ stub_status; }}
    }}
}}
"""


def main(argv: Sequence[str]) -> None:
    directory, address, port, size, max_connections = argv[:5]
    words = list(argv[argv.index("--") + 1:])
    sys.path.insert(0, str(ROOT))
    from harness.exchange import expected_body
    body = os.memfd_create("body", 0)
    with os.fdopen(os.dup(body), "wb") as file:
        file.write(expected_body(int(size)))
    config = Path(directory) / "nginx.conf"
    config.write_text(CONFIG.format(directory=directory, address=address, port=port, body=f"/proc/self/fd/{body}",
                                    # beside the load's: the listener's, the proof's
                                    max_connections=int(max_connections) + 16))
    if "/" in words[0]:
        words[0] = str(ROOT / words[0])
    os.execvp(words[0], [*words, "-e", "stderr", "-c", str(config)])


if __name__ == "__main__":
    main(sys.argv[1:])
