"""Bounds for what comes from the network: an ASGI layer around the page, and connections that keep time."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard", "TimedProtocol"]

MOST_BODY: Final = 4096
BODY_S: Final = 5.0
HEAD_S: Final = 10.0
MOST_PATH: Final = 512
MOST_HEADERS: Final = 64
RATE: Final = 40.0
BURST: Final = 160.0
MOST_ADDRESSES: Final = 4096
HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """Refuses requests that no client of the page sends, and more of them than anybody needs.

    A method other than GET, HEAD and POST; a long path or many headers; a Host that is not ours (a name of
    another site that leads here: DNS rebinding); a POST from another site's page, of another type than JSON,
    or with more than 4 KB or 5 s of body; more than 40 requests a second from one address.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = {host.lower().rstrip(".") for host in hosts}
        self._tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.refused: Counter[int] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return
        send = _with_headers(send)
        status = self._judge(scope)
        if status:
            self.refused[status] += 1
            await _answer(send, status)
            return
        if scope["method"] == "POST":
            body = await _whole_body(receive)
            if body is None:
                self.refused[413] += 1
                await _answer(send, 413)
                return
            receive = _replay(body, receive)
        await self._app(scope, receive, send)

    def _judge(self, scope: Scope) -> int:
        """Status to refuse with, 0 for a request that is let through."""
        client = scope.get("client")
        if not self._in_rate(client[0] if client else ""):
            return 429
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > MOST_PATH:
            return 414
        headers = scope["headers"]
        if len(headers) > MOST_HEADERS:
            return 431
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not self._ours(hosts[0]):
            return 421
        if scope["method"] == "POST":
            values = {name: value.decode("latin-1") for name, value in headers}
            origin = values.get(b"origin")
            if origin is not None and origin.partition("://")[2] != hosts[0]:
                return 403
            if values.get(b"sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return 403
            if values.get(b"content-type", "").partition(";")[0].strip() != "application/json":
                return 415
        return 0

    def _ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        name = name.strip("[]").lower().rstrip(".")
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        # A numeric address cannot be another site's name.
        return True

    def _in_rate(self, address: str) -> bool:
        now = time.monotonic()
        left, at = self._tokens.pop(address, (BURST, now))
        left = min(BURST, left + RATE * (now - at))
        self._tokens[address] = (max(0.0, left - 1.0), now)
        while len(self._tokens) > MOST_ADDRESSES:
            self._tokens.popitem(last=False)
        return left >= 1.0


class TimedProtocol(H11Protocol):
    """A connection that must send a whole request head within 10 s; one address has a share of all only.

    `open` holds connections by (address, port), so that one whose client does not read can be cut.
    """

    open: dict[tuple[str, int], TimedProtocol] = {}  # noqa: RUF012
    share = 32
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        super().connection_made(transport)
        if self.client is None:
            return
        address = self.client[0]
        if sum(key[0] == address for key in self.open) >= self.share:
            transport.abort()
            return
        self.open[self.client] = self
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._disarm()
        if self.client is not None and self.open.get(self.client) is self:
            del self.open[self.client]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            if self._timer is None:
                self._arm()
        else:
            self._disarm()

    def on_response_complete(self) -> None:
        """See uvicorn."""
        super().on_response_complete()
        self._disarm()

    @classmethod
    def cut(cls, client: tuple[str, int] | None) -> None:
        """End a connection at once; what was not sent yet is thrown away."""
        connection = None if client is None else cls.open.get((client[0], client[1]))
        if connection is not None and connection.transport is not None:
            connection.transport.abort()

    def _arm(self) -> None:
        self._timer = self.loop.call_later(HEAD_S, self._late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.abort()


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in message.get("headers", ())}
            message["headers"] = [*message.get("headers", ()), *(h for h in HEADERS if h[0] not in own)]
        await send(message)

    return sending


async def _answer(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": b""})


async def _whole_body(receive: Receive) -> bytes | None:
    """The body, None where it is too long or too slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if len(body) > MOST_BODY:
                    return None
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        return None


def _replay(body: bytes, receive: Receive) -> Receive:
    over = False

    async def receiving() -> Message:
        nonlocal over
        if not over:
            over = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return receiving
