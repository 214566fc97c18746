"""The page's process: from the service's settings to a server that listens."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import ssl
import threading
from typing import Any, Final

import uvicorn

from ...errors import InputError
from ..child import die_with_parent, yield_memory
from ..config import is_loopback, read_tokens
from ..wire import Wire
from .access import Access
from .app import build_app
from .guard import Guard, TimedProtocol
from .hub import Hub

__all__ = ["main"]

ALIVE_S: Final = 2.0
MOST_HEAD: Final = 16_384


def main() -> int:
    """Entry: `python -m eegvlm_rt.service.page --fd N --parent PID`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    args = parser.parse_args()
    die_with_parent(args.parent)
    yield_memory(600)
    wire = Wire(args.fd)
    try:
        received = wire.receive(30.0)
        if received is not None:
            asyncio.run(_serve(wire, received[0]))
    except (EOFError, OSError) as error:
        logging.getLogger("eegvlm_rt.service").warning("page process: %s", error or type(error).__name__)
    return 0


async def _serve(wire: Wire, settings: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    hub = Hub()
    try:
        tokens = {} if settings["tokens_file"] is None else read_tokens(settings["tokens_file"])
        listening = _listen(settings["host"], settings["port"])
        server = uvicorn.Server(_config(settings, hub, wire, tokens))
    except (OSError, InputError, ssl.SSLError) as error:
        wire.send({"t": "refused", "error": getattr(error, "strerror", None) or str(error)})
        return
    ended = asyncio.Event()

    def hear() -> None:
        try:
            while True:
                received = wire.receive()
                if received is not None:
                    loop.call_soon_threadsafe(hub.take, *received)
        except (EOFError, OSError, ValueError):
            # The service is gone, and the page with it.
            os._exit(0)

    threading.Thread(target=hear, name="service", daemon=True).start()
    TimedProtocol.share = max(8, settings["clients"] // 2)

    async def beat() -> None:
        wire.send({"t": "listening", "port": listening.getsockname()[1]})
        while not ended.is_set():
            wire.send({"t": "alive"})
            await asyncio.sleep(ALIVE_S)

    beating = asyncio.create_task(beat())
    try:
        await server.serve(sockets=[listening])
    finally:
        ended.set()
        beating.cancel()


def _config(settings: dict[str, Any], hub: Hub, wire: Wire, tokens: dict[str, str]) -> uvicorn.Config:
    # Without tokens only this machine, or clients with a certificate, reach the page.
    certified = settings["client_ca"] is not None
    alone = is_loopback(settings["host"])
    role = "" if tokens else settings["loopback_role"] if alone else "view" if certified else ""
    access = Access(tokens, role)
    hosts = {"localhost", "127.0.0.1", "::1", settings["host"], socket.gethostname(), *settings["hosts"]}
    app = Guard(build_app(hub, access, wire.send), hosts)
    tls: dict[str, Any] = {}
    if settings["certificate"] is not None:
        tls = {"ssl_certfile": settings["certificate"], "ssl_keyfile": settings["key"]}
    if certified:
        tls |= {"ssl_ca_certs": settings["client_ca"], "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return uvicorn.Config(
        app,
        http=TimedProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=2 * settings["clients"] + 16,
        h11_max_incomplete_event_size=MOST_HEAD,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
        backlog=128,
        **tls,
    )


def _listen(host: str, port: int) -> socket.socket:
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = addresses[0]
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening
