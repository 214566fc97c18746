"""The routes of the page."""

from __future__ import annotations

import asyncio
import json
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..alarms import AlarmKind
from .access import COOKIE, SESSION_S, address_of
from .guard import TimedProtocol
from .metrics import CONTENT_TYPE, metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    from .access import Access
    from .hub import Hub

__all__ = ["build_app"]

TYPES: Final = {
    "index.html": "text/html; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "pictures.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "manifest.json": "application/manifest+json",
}
BEAT_S: Final = 10.0
SEND_S: Final = 15.0
KINDS: Final = frozenset(map(str, AlarmKind))

Handler = "Callable[[Request], Awaitable[Response]]"


def build_app(hub: Hub, access: Access, request_of: Callable[[dict[str, Any]], None]) -> Starlette:
    """The application. `request_of` hands a wish of somebody with the role `operate` to the service."""
    static = {name: resources.files(__package__).joinpath("static", name).read_bytes() for name in TYPES}

    def file(name: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(_request: Request) -> Response:
            return Response(static[name], media_type=TYPES[name], headers={"cache-control": "no-cache"})

        return answer

    def guarded(
        role: str, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            refusal = _refusal(access, request, role)
            return await handler(request) if refusal is None else refusal

        return answer

    async def state(_request: Request) -> Response:
        return JSONResponse(hub.state if hub.state else {"beds": [], "alarms": []})

    async def night(request: Request) -> Response:
        bed = request.path_params["bed"]
        return JSONResponse(hub.night(bed)) if bed in hub.keys else _plain(404)

    async def epoch(request: Request) -> Response:
        row = hub.nights.get(request.path_params["bed"], {}).get(request.path_params["index"])
        return _plain(404) if row is None else JSONResponse(row)

    async def trace(request: Request) -> Response:
        drawn = hub.traces.get(request.path_params["bed"])
        png = b"" if drawn is None else drawn.png(request.query_params.get("size", "wide"))
        return Response(png, media_type="image/png") if png else _plain(204)

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse(
            "ok\n" if hub.fresh else "the service is not heard of\n", 200 if hub.fresh else 503
        )

    async def readyz(_request: Request) -> Response:
        why = hub.state.get("not_ready", []) if hub.fresh else ["the service is not heard of"]
        return PlainTextResponse("\n".join(why) + "\n" if why else "ready\n", 503 if why else 200)

    async def metric(_request: Request) -> Response:
        return Response(metrics(hub), media_type=CONTENT_TYPE)

    async def acknowledge(request: Request) -> Response:
        body = await _json(request)
        kind, bed = body.get("kind"), body.get("bed")
        if not isinstance(kind, str) or kind not in KINDS or not isinstance(bed, str) or len(bed) > 32:
            return _plain(422)
        request_of({"t": "acknowledge", "kind": kind, "bed": bed, "by": address_of(request)})
        return _plain(202)

    async def pause(request: Request) -> Response:
        body = await _json(request)
        bed, seconds = body.get("bed"), body.get("seconds")
        is_time = isinstance(seconds, int) and not isinstance(seconds, bool) and 0 <= seconds <= 1800
        if not is_time or not isinstance(bed, str) or len(bed) > 32:
            return _plain(422)
        request_of({"t": "pause", "bed": bed, "seconds": seconds, "by": address_of(request)})
        return _plain(202)

    async def retry(request: Request) -> Response:
        request_of({"t": "retry model", "by": address_of(request)})
        return _plain(202)

    async def role(request: Request) -> Response:
        return JSONResponse({"role": access.role(request)})

    async def login(request: Request) -> Response:
        token = (await _json(request)).get("token")
        if access.locked(address_of(request)):
            return _plain(429)
        own_role = access.check(token, address_of(request)) if isinstance(token, str) else ""
        if not own_role:
            return _plain(401)
        answer = JSONResponse({"role": own_role})
        answer.set_cookie(
            COOKIE,
            access.begin_session(own_role),
            max_age=int(SESSION_S),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def logout(request: Request) -> Response:
        access.end_session(request.cookies.get(COOKIE, ""))
        answer = _plain(204)
        answer.delete_cookie(COOKIE)
        return answer

    routes = [
        Route("/", file("index.html")),
        *(Route(f"/{name}", file(name)) for name in TYPES if name != "index.html"),
        Route("/healthz", healthz),
        Route("/readyz", guarded("view", readyz)),
        Route("/metrics", guarded("view", metric)),
        Route("/events", Events(hub, access)),
        Route("/api/state", guarded("view", state)),
        Route("/api/role", guarded("view", role)),
        Route("/api/beds/{bed}", guarded("view", night)),
        Route("/api/beds/{bed}/epochs/{index:int}", guarded("view", epoch)),
        Route("/api/beds/{bed}/trace.png", guarded("view", trace)),
        Route("/api/acknowledge", guarded("operate", acknowledge), methods=["POST"]),
        Route("/api/pause", guarded("operate", pause), methods=["POST"]),
        Route("/api/model/retry", guarded("operate", retry), methods=["POST"]),
        Route("/login", login, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={Exception: _failure, ValueError: _unusable})


class Events:
    """The stream of events of one client."""

    def __init__(self, hub: Hub, access: Access) -> None:
        self._hub, self._access = hub, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        request = Request(scope, receive)
        refusal = _refusal(self._access, request, "view") if scope["method"] == "GET" else _plain(405)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        client = self._hub.join(request.query_params.get("bed", "")[:32])
        end = asyncio.create_task(_gone(receive))
        try:
            headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"retry: 2000\n\n", "more_body": True})
            while not end.done():
                data = await client.take(BEAT_S) or b": beat\n\n"
                # One that does not read is cut, or its data would lie in memory until TCP gives up.
                async with asyncio.timeout(SEND_S):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                if client.lost:
                    break
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (TimeoutError, OSError):
            client.lost = True
            TimedProtocol.cut(scope.get("client"))
        finally:
            end.cancel()
            self._hub.leave(client)
            if client.lost:
                TimedProtocol.cut(scope.get("client"))


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _refusal(access: Access, connection: HTTPConnection, right: str) -> Response | None:
    """The answer to somebody who may not, None to who may."""
    role = access.role(connection)
    if role == "operate" or role == right:
        return None
    if role:
        return _plain(403)
    if access.locked(address_of(connection)):
        return _plain(429)
    return Response(status_code=401, headers={"www-authenticate": "Bearer"})


async def _json(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(await request.body())
    except RecursionError as error:
        raise ValueError from error
    if not isinstance(value, dict):
        raise ValueError
    return value


async def _failure(_request: Request, _error: Exception) -> Response:
    return _plain(500)


async def _unusable(_request: Request, _error: Exception) -> Response:
    return _plain(422)


def _plain(status: int) -> Response:
    return Response(status_code=status)
