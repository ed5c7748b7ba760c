"""A local server that plays the mirrors of a weight file, good ones and bad ones."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[['Handler'], None]


class Mirrors:
    """The server: its behaviour at each path, and the requests that it got.

    Args:
        url: Its address, without a slash at the end.
        behaviours: Behaviour by path; each call answers one request.
        requests: The requested paths, in order.
        ranges: The Range header of each request, or None.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.behaviours: dict[str, Behaviour] = {}
        self.requests: list[str] = []
        self.ranges: list[str | None] = []

    def plays(self, path: str, *behaviours: Behaviour) -> str:
        """Answer the requests to a path by these behaviours in turn, the last one repeatedly; return its URL."""
        turns = list(behaviours)
        self.behaviours[path] = lambda handler: (turns.pop(0) if len(turns) > 1 else turns[0])(handler)
        return f'{self.url}{path}'

    def asked(self, path: str) -> int:
        """Return how many requests there were to a path."""
        return self.requests.count(path)


class Handler(BaseHTTPRequestHandler):
    """Answers each request by the behaviour of its path."""

    mirrors: Mirrors

    def do_GET(self) -> None:
        self.mirrors.requests.append(self.path)
        self.mirrors.ranges.append(self.headers.get('Range'))
        self.mirrors.behaviours[self.path](self)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def mirrors_running() -> Iterator[Mirrors]:
    """Run a server during a test."""
    handler = type('Handler', (Handler,), {})
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        handler.mirrors = mirrors = Mirrors(f'http://127.0.0.1:{server.server_address[1]}')
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        try:
            yield mirrors
        finally:
            server.shutdown()
            thread.join()


def serves(content: bytes, *, ranges: bool = True, pause: float = 0.0) -> Behaviour:
    """Send the file, or the requested part of it if the server knows ranges."""

    def answer(handler: Handler) -> None:
        asked = handler.headers.get('Range')
        start = int(asked.removeprefix('bytes=').removesuffix('-')) if asked and ranges else 0
        if start >= len(content) and start:
            handler.send_response(416)
            handler.send_header('Content-Range', f'bytes */{len(content)}')
            handler.send_header('Content-Length', '0')
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header('Content-Range', f'bytes {start}-{len(content) - 1}/{len(content)}')
        handler.send_header('Content-Length', str(len(content) - start))
        handler.end_headers()
        time.sleep(pause)
        handler.wfile.write(content[start:])

    return answer


def says(content: bytes, kind: str | None) -> Behaviour:
    """Send content under a media type; None names no type."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        if kind is not None:
            handler.send_header('Content-Type', kind)
        handler.send_header('Content-Length', str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def drips(released: threading.Event, *, headers: bool = False) -> Behaviour:
    """Send a byte now and then until the client has gone or the test is over, in the content or in the headers."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        if not headers:
            handler.send_header('Content-Length', '1000000')
            handler.end_headers()
        handler.flush_headers()
        with contextlib.suppress(OSError):
            for _ in range(500):  # a client without limits ends by itself, so that its test fails and does not hang
                if released.wait(0.01):
                    break
                handler.wfile.write(b'x')
        handler.close_connection = True

    return answer


def fails(code: int) -> Behaviour:
    """Answer with an error."""
    return lambda handler: handler.send_error(code)


def redirects(url: str) -> Behaviour:
    """Redirect the client to another URL."""

    def answer(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header('Location', url)
        handler.send_header('Content-Length', '0')
        handler.end_headers()

    return answer


def breaks_off(content: bytes, after: int) -> Behaviour:
    """Promise the whole file, and close the connection after a number of bytes."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header('Content-Length', str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:after])
        handler.close_connection = True

    return answer


def hangs(released: threading.Event, *, content: bytes = b'', after: int = 0) -> Behaviour:
    """Send nothing, or only the beginning, until the test is over."""

    def answer(handler: Handler) -> None:
        if after:
            handler.send_response(200)
            handler.send_header('Content-Length', str(len(content)))
            handler.end_headers()
            handler.wfile.write(content[:after])
            handler.wfile.flush()
        released.wait(10)
        handler.close_connection = True

    return answer
