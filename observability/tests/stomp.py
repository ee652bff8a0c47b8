"""A STOMP client over WebSocket that can do just what the tests need: connect, send, wait for frames."""

import base64
import os
import socket
import struct

from harness import LIMIT


class Stomp:
    def __init__(self, port, token):
        self.socket = socket.create_connection(("127.0.0.1", port), LIMIT)
        self.socket.settimeout(LIMIT)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n".encode())
        self.received = b""
        while b"\r\n\r\n" not in self.received:
            self._receive()
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        assert b" 101 " in head, head
        self.send("CONNECT", {"accept-version": "1.2", "host": "localhost", "Authorization": f"Bearer {token}"})
        self.wait_for("CONNECTED")

    def _receive(self):
        data = self.socket.recv(65_536)
        if not data:
            raise AssertionError("the server has closed the connection")
        self.received += data

    def send(self, command, headers, body=""):
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        text = f"{command}\n{lines}\n{body}\0".encode()
        length = struct.pack("!B", 0x80 | len(text)) if len(text) < 126 else struct.pack("!BH", 0xFE, len(text))
        mask = os.urandom(4)
        self.socket.sendall(b"\x81" + length + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(text)))

    def wait_for(self, command):
        """The next frame with this command; others are dropped."""
        while True:
            frame = self._frame()
            if frame.startswith(command.encode() + b"\n"):
                return frame.decode()
            assert not frame.startswith(b"ERROR"), frame

    def _frame(self):
        while len(self.received) < 2:
            self._receive()
        length, start = self.received[1] & 0x7F, 2
        if length == 126:
            while len(self.received) < 4:
                self._receive()
            length, start = struct.unpack("!H", self.received[2:4])[0], 4
        while len(self.received) < start + length:
            self._receive()
        frame, self.received = self.received[start:start + length], self.received[start + length:]
        return frame

    def kill(self):
        self.socket.close()
