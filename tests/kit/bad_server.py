"""A neighbour with switches for trouble: hangs, drips, talks nonsense, hangs up."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field


@dataclass
class BadServer:
    """Listens on a free port; every connection gets the present ``mood``.

    ``asked`` holds what was received, ``connections`` counts.
    """

    mood: str = "well"
    answer: bytes = b'{"well": true}'
    status: int = 200
    asked: list[bytes] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        """Stop listening, and hang up on everybody."""
        # Wakes the accepting thread, which holds the listener open otherwise.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Close every connection from this side."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._sockets.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            while self._serve_one(connection):
                pass
            connection.shutdown(socket.SHUT_RDWR)

    def _serve_one(self, connection: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return False
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(body) < length:
            body += connection.recv(65536)
        self.asked.append(data)
        return self._react(connection)

    def _react(self, connection: socket.socket) -> bool:
        good = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(self.answer)}\r\n\r\n".encode()
        match self.mood:
            case "well":
                connection.sendall(good + self.answer)
                return True
            case "hangs":
                time.sleep(30)
            case "hangs up":
                return False
            case "drips":
                for byte in good + self.answer:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.1)
            case "stops half way":
                connection.sendall(good + self.answer[:3])
            case "noise":
                connection.sendall(b"\x00\x01 220 smtp ready\r\n\r\n")
            case "endless":
                connection.sendall(b"HTTP/1.1 200 X\r\n\r\n")
                while True:
                    connection.sendall(b"x" * 65536)
            case "endless header":
                connection.sendall(b"HTTP/1.1 200 X\r\nX: ")
                while True:
                    connection.sendall(b"x" * 65536)
        return False
