#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Becomes nginx that serves one body, that of all servers of this project: at / and, from a file,
at /body.

Usage: nginx.py DIRECTORY ADDRESS PORT BODY_SIZE MAX_CONNECTIONS [CPUS] -- WORDS…   WORDS end with
nginx's own name. One worker; with CPUS, as 1,2, one for each of them, pinned to it, with a listener
of its own (SO_REUSEPORT). Writes DIRECTORY/nginx.conf, which stays as a record of how it was
configured; the file that it serves has no name.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Sequence

ROOT = Path(__file__).resolve().parents[2]
# The file is kept open and its size in mind, as nginx's manual has it for static files; nothing is
# logged a request. What fits into a word of the configuration is served from there, which takes
# less than a file.
CONFIG = """\
daemon off; user root; {workers}
pid "{directory}/nginx.pid"; error_log stderr warn;
events {{ worker_connections {max_connections}; multi_accept on; }}
http {{
    access_log off; server_tokens off; etag off; default_type "";
    sendfile on; tcp_nodelay on; open_file_cache max=16 inactive=1h; open_file_cache_valid 1h;
    keepalive_requests 1000000000000; keepalive_timeout 1h;
    client_body_temp_path "{directory}"; proxy_temp_path "{directory}";
    fastcgi_temp_path "{directory}"; uwsgi_temp_path "{directory}"; scgi_temp_path "{directory}";
    server {{
        listen {address}:{port} backlog=4096{reuseport};
        location = / {{ {root} }}
        location = /body {{ alias {body}; }}
        location = /status {{ stub_status; }}
    }}
}}
"""
ONE_WORKER = "master_process off; worker_processes 1;"
# bytes of a word that nginx reads (its own buffer has 4096)
LONGEST_WORD = 3800


def workers(cpus: Sequence[int]) -> str:
    """A worker for each CPU, and its mask: the lowest bit, CPU 0, stands last."""
    masks = " ".join(f"{1 << cpu:0{max(cpus) + 1}b}" for cpu in cpus)
    return f"worker_processes {len(cpus)}; worker_cpu_affinity {masks};"


def quoted(path: str) -> str:
    """Return a path as it stands between quotes in nginx's configuration."""
    return path.replace("\\", "\\\\").replace('"', '\\"')


def root(body: str) -> str:
    """What answers a GET of /, which nginx would take for a directory."""
    return f'return 200 "{body}";' if len(body) <= LONGEST_WORD else "rewrite ^ /body last;"


def main(argv: Sequence[str]) -> None:
    directory, address, port, size, max_connections = argv[:5]
    options, words = list(argv[5:argv.index("--")]), list(argv[argv.index("--") + 1:])
    cpus = [int(cpu) for cpu in options[0].split(",")] if options else []
    sys.path.insert(0, str(ROOT))
    from harness.plan import expected_body
    body = os.memfd_create("body", 0)
    with os.fdopen(os.dup(body), "wb") as file:
        file.write(expected_body(int(size)))
    text = expected_body(int(size)).decode()
    config = Path(directory) / "nginx.conf"
    configured = CONFIG.format(
        directory=quoted(directory), address=address, port=port, body=f"/proc/self/fd/{body}",
        workers=workers(cpus) if cpus else ONE_WORKER,
        reuseport=" reuseport" if cpus else "", root=root(text),
        # beside the load's: the listener's, the proof's
        max_connections=int(max_connections) + 16)
    config.write_bytes(os.fsencode(configured))
    if "/" in words[0]:
        words[0] = str(ROOT / words[0])
    os.execvp(words[0], [*words, "-e", "stderr", "-c", str(config)])


if __name__ == "__main__":
    main(sys.argv[1:])
