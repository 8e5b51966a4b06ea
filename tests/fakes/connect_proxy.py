"""A proxy as companies have them: CONNECT to any host, which is always the same server here. Standard library only."""

import contextlib
import socket
import socketserver
import threading


class ConnectProxy:
    """Runs while it is entered. `asked` are the hosts that clients wanted, `headers` what they said besides."""

    def __init__(self, host, port):
        self.asked, self.headers = [], []
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                method, name, _ = self.rfile.readline().decode().split()
                proxy.asked.append((method, name))
                while (line := self.rfile.readline().decode().strip()) != "":
                    proxy.headers.append(line)
                with socket.create_connection((host, port)) as server:
                    self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    back = threading.Thread(target=_pour, args=(server, self.request))
                    back.start()
                    _pour(self.request, server)
                    back.join()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def address(self):
        """What people write into HTTPS_PROXY."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _pour(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
