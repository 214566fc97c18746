"""How long the samples of a bed have come without a decision: what the alarm `no_decision` is about."""

from __future__ import annotations

__all__ = ["DecisionWait"]


class DecisionWait:
    """Counts seconds since the last decision of the night, or since its first sample.

    In normal operation there is a decision every 30 s, each at most its deadline late. A source that is gone,
    so that there is nothing to decide, has an alarm of its own: that time does not count. Shorter pauses do.

    seconds: the count as it stands.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._looked_at: float | None = None
        self._decided_at: float | None = None
        self._night = ""
        self._silent = False

    def look(
        self, now: float, *, night: str | None, decided_at: float | None, quiet_s: float, silent: bool
    ) -> float:
        """Count on to `now`, once a second or so; gives the count.

        Args:
            now, decided_at: `time.monotonic()` of this moment and of the last decision.
            night: key of the night that is recorded, None where none is.
            quiet_s: seconds since the last sample, and whether that is an alarm (`silent`).
        """
        passed_s = 0.0 if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        if night is None or night != self._night:
            self.seconds = 0.0
        elif decided_at is not None and decided_at != self._decided_at:
            self.seconds = now - decided_at
        elif silent and not self._silent:
            # It was gone already when its silence was still taken for a pause.
            self.seconds = max(0.0, self.seconds + passed_s - quiet_s)
        elif not silent:
            self.seconds += passed_s
        self._night, self._decided_at, self._silent = night or "", decided_at, silent
        return self.seconds
