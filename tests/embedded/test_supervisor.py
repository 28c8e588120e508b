"""A process that goes at the moment in which it answers takes nobody with it."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.embedded.supervisor import spawn, stop, wait_until_up
from breakglass.errors import UnavailableError

LEAVING = """
import http.server, os, sys
address = os.path.join(sys.argv[1], "address")

class Leaving(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        os.unlink(address)  # as every process of ours does when it is stopped
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

server = http.server.HTTPServer(("127.0.0.1", 0), Leaving)
with open(address + ".new", "w") as file:
    file.write(f"http://127.0.0.1:{server.server_port}")
os.rename(address + ".new", address)
server.handle_request()
"""


def test_a_process_that_is_stopped_while_it_is_waited_for_has_ended_and_no_more(tmp_path: Path):
    child = spawn("leaving", tmp_path, ["-c", LEAVING, str(tmp_path)], os.environ)
    try:
        with pytest.raises(UnavailableError, match="'leaving' ended with code 0") as said:
            wait_until_up(child, timedelta(seconds=20))
        assert said.value.name == "not_started"
    finally:
        stop(child)
