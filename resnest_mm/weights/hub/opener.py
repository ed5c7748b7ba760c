"""Opening a URL: http and https alone, also after a redirection, with every byte of the answer counted.

Written by hand, because the openers of urllib follow redirections to ftp, and a timeout of a socket counts from the
last byte, so that headers and content may arrive for ever, one byte at a time.
"""

from __future__ import annotations

import http.client
import io
import ssl
from typing import Any
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from resnest_mm.weights.hub.limits import Watch


def open_url(url: str, *, headers: dict[str, str], timeout: float, watch: Watch) -> Any:
    """Return the answer to a request, to be closed after use.

    Args:
        url: An http or https URL. Redirections to such URLs are followed, 10 at most.
        headers: Headers of the request.
        timeout: Seconds without a byte from the server before an error, above 0.
        watch: Counts the bytes of the answer.

    Raises:
        OSError: As urllib, and whatever `watch` raises.
    """
    opener = OpenerDirector()
    handlers = (
        ProxyHandler(),
        UnknownHandler(),
        HTTPDefaultErrorHandler(),
        HTTPRedirectHandler(),
        HTTPErrorProcessor(),
    )
    for handler in (*handlers, _Http(watch), _Https(watch)):
        opener.add_handler(handler)
    return opener.open(Request(url, headers=headers), timeout=timeout)


class _Http(HTTPHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, req: Request) -> http.client.HTTPResponse:
        class Connection(http.client.HTTPConnection):
            response_class = _response_class(self._watch)

        return self.do_open(Connection, req)


class _Https(HTTPSHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def https_open(self, req: Request) -> http.client.HTTPResponse:
        class Connection(http.client.HTTPSConnection):
            response_class = _response_class(self._watch)

        return self.do_open(Connection, req, context=ssl.create_default_context())


def _response_class(watch: Watch) -> type[http.client.HTTPResponse]:
    class Response(http.client.HTTPResponse):
        def __init__(self, *args: Any, **arguments: Any) -> None:
            super().__init__(*args, **arguments)
            self.fp: io.BufferedReader = io.BufferedReader(_WatchedStream(self.fp.detach(), watch))

    return Response


class _WatchedStream(io.RawIOBase):
    """The bytes from a socket, counted as they arrive."""

    def __init__(self, stream: io.RawIOBase, watch: Watch) -> None:
        self._stream, self._watch = stream, watch

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._stream.readinto(buffer)
        self._watch.count(count or 0)
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()
