"""What the page knows, and who is to be told of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from typing import Any, Final

from .trace import Trace

__all__ = ["Client", "Hub"]

MOST_WAITING: Final = 256
MOST_ROWS: Final = 3000
HAPPENINGS: Final = 200
STALE_S: Final = 5.0


class Client:
    """A listener. Its queue is bounded: one that does not read is let go, and may come back."""

    def __init__(self, bed: str) -> None:
        self.bed = bed
        self.lost = False
        self._waiting: deque[bytes] = deque()
        self._there = asyncio.Event()

    def put(self, data: bytes) -> None:
        """An event for it."""
        if len(self._waiting) >= MOST_WAITING:
            self.lost = True
        if not self.lost:
            self._waiting.append(data)
        self._there.set()

    async def take(self, timeout_s: float) -> bytes:
        """All events that wait, as bytes; empty where none comes in time."""
        if not self._waiting and not self.lost:
            try:
                await asyncio.wait_for(self._there.wait(), timeout_s)
            except TimeoutError:
                return b""
        self._there.clear()
        data = b"".join(self._waiting)
        self._waiting.clear()
        return data


class Hub:
    """The latest state of the service, the night of every bed, and the clients; for the event loop alone."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.heard_at = 0.0
        self.nights: dict[str, dict[int, dict[str, Any]]] = {}
        self.keys: dict[str, str] = {}
        self.happenings: deque[dict[str, Any]] = deque(maxlen=HAPPENINGS)
        self.traces: dict[str, Trace] = {}
        self.clients: set[Client] = set()
        self.dropped = 0

    @property
    def fresh(self) -> bool:
        """Whether the service is heard of."""
        return bool(self.state) and time.monotonic() - self.heard_at < STALE_S

    def take(self, message: dict[str, Any], blob: bytes) -> None:
        """A message of the service."""
        kind = message.pop("t", "")
        if kind == "state":
            self.state, self.heard_at = message, time.monotonic()
            self._send("state", shown(message))
        elif kind == "night":
            rows = {row["index"]: row for row in json.loads(blob)[-MOST_ROWS:]}
            self.nights[message["bed"]], self.keys[message["bed"]] = rows, message["key"]
            self._send("night", self.night(message["bed"]), bed=message["bed"])
        elif kind == "row":
            self._row(message)
        elif kind == "text":
            self._send("text", message, bed=message["bed"])
        elif kind == "happening":
            self._happening(message)
        elif kind == "gone":
            for table in (self.nights, self.keys, self.traces):
                table.pop(message["bed"], None)
        elif kind == "trace":
            trace = self.traces.setdefault(message["bed"], Trace())
            trace.push(blob, message["sfreq"])
        elif kind == "alarm":
            self._send("alarm", message)

    def join(self, bed: str) -> Client:
        """A client that looks at a bed; it gets all there is first."""
        client = Client(bed)
        if self.state:
            client.put(event("state", shown(self.state)))
        if bed in self.nights:
            client.put(event("night", self.night(bed)))
        news = [h for h in self.happenings if h["bed"] in ("", bed)]
        client.put(event("happenings", {"list": news[-60:]}))
        self.clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """A client that is gone."""
        self.clients.discard(client)
        self.dropped += client.lost

    def night(self, bed: str) -> dict[str, Any]:
        """The night of a bed, as small as the chart needs it, with its latest decision whole."""
        rows = self.nights.get(bed, {})
        chart = [[i, r["stage"], r["outcome"], r["counted"], *r["p"]] for i, r in sorted(rows.items())]
        last = rows[max(rows)] if rows else None
        return {"bed": bed, "key": self.keys.get(bed, ""), "rows": chart, "last": last}

    def _row(self, message: dict[str, Any]) -> None:
        bed, row = message["bed"], message["row"]
        if self.keys.get(bed) != message["key"]:
            return
        rows = self.nights.setdefault(bed, {})
        if message["final"]:
            rows[row["index"]] = row
            while len(rows) > MOST_ROWS:
                del rows[min(rows)]
        self._send("row", message, bed=bed)

    def _happening(self, message: dict[str, Any]) -> None:
        message.pop("only", None)
        # After the page began anew the service tells what happened before; some of it is known already.
        if message in self.happenings:
            return
        self.happenings.append(message)
        self._send("happening", message)

    def _send(self, name: str, message: dict[str, Any], bed: str = "") -> None:
        if not self.clients:
            return
        data = event(name, message)
        for client in list(self.clients):
            if bed in ("", client.bed):
                client.put(data)


def shown(state: dict[str, Any]) -> dict[str, Any]:
    """The state without what only the metrics need."""
    beds = [
        {name: value for name, value in bed.items() if name not in ("stage_ms", "total_ms", "epochs_total")}
        for bed in state["beds"]
    ]
    return {**state, "beds": beds}


def event(name: str, message: dict[str, Any]) -> bytes:
    """A server-sent event (HTML standard, 9.2.6)."""
    text = json.dumps(message, separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n".encode()
