"""Who may do what: tokens, sessions, roles."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import HTTPConnection

__all__ = ["COOKIE", "Access"]

COOKIE: Final = "eegvlm_session"
SESSION_S: Final = 12 * 3600.0
MOST_SESSIONS: Final = 256
FAILURES: Final = 10
FAILURES_S: Final = 60.0
MOST_ADDRESSES: Final = 4096


class Access:
    """Roles by token (`tokens`, role by token), or one role for everybody on this machine (`open_role`).

    Tokens are kept as digests only. After ten wrong ones from an address within a minute, every further one
    from there is refused until the minute is over, the right ones too.
    """

    def __init__(self, tokens: Mapping[str, str], open_role: str) -> None:
        self._tokens = {self._digest(token): role for token, role in tokens.items()}
        self._open_role = open_role
        self._sessions: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    @property
    def open(self) -> bool:
        """Whether no token is needed."""
        return not self._tokens and bool(self._open_role)

    def role(self, connection: HTTPConnection) -> str:
        """Role of a request: "operate", "view", or empty."""
        header = connection.headers.get("authorization", "")
        scheme, _, token = header.partition(" ")
        if scheme.lower() == "bearer" and token:
            return self.check(token.strip(), address_of(connection))
        session = connection.cookies.get(COOKIE, "")
        if session:
            session_role = self._sessions.get(self._digest(session))
            if session_role is not None and session_role[1] > time.monotonic():
                return session_role[0]
        return self._open_role

    def check(self, token: str, address: str) -> str:
        """Role of a token, empty for a wrong one or too many wrong ones before."""
        if self.locked(address):
            return ""
        digest, role = self._digest(token), ""
        # All are compared, so that the time taken tells nothing.
        for token_digest, its_role in self._tokens.items():
            if hmac.compare_digest(token_digest, digest):
                role = its_role
        if not role:
            self._failed(address)
        return role

    def locked(self, address: str) -> bool:
        """Whether an address has sent too many wrong tokens."""
        now = time.monotonic()
        recent = [at for at in self._wrong.get(address, []) if now - at < FAILURES_S]
        return len(recent) >= FAILURES

    def begin_session(self, role: str) -> str:
        """A new session's cookie."""
        session = secrets.token_urlsafe(32)
        self._sessions[self._digest(session)] = (role, time.monotonic() + SESSION_S)
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def end_session(self, session: str) -> None:
        """Forget a session."""
        self._sessions.pop(self._digest(session), None)

    def _failed(self, address: str) -> None:
        now = time.monotonic()
        times = [at for at in self._wrong.pop(address, []) if now - at < FAILURES_S]
        self._wrong[address] = [*times, now][-FAILURES:]
        while len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)

    @staticmethod
    def _digest(text: str) -> bytes:
        return hashlib.sha256(text.encode("utf-8", errors="replace")).digest()


def address_of(connection: HTTPConnection) -> str:
    """Address of the client; headers of proxies are not believed."""
    return connection.client.host if connection.client is not None else ""
