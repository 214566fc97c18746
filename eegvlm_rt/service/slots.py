"""Two slots for bundles on a device: the one in force and the one before, so that an update can be undone."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..bundle.archive import unpack_bundle
from ..bundle.opening import Bundle
from ..errors import BundleError
from ..files.outputs import write_file
from ..prediction import Outcome
from .rehearsal import rehearse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..bundle.trust import TrustPolicy
    from .night import BedNight
    from .rehearsal import Gates

__all__ = ["BundleSlots", "Slot", "SlotState"]

STATE: Final = "slots.json"
FAILED_SHARE: Final = 0.1
RESTARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Slot:
    """A bundle that was verified when it was installed. `release` is `provenance.release` of its manifest, an
    integer that grows from release to release; 0 where the manifest has none.
    """

    folder: str
    digest: str
    model_id: str
    release: int


@dataclass(frozen=True, slots=True)
class SlotState:
    """`pending` waits for the end of the night, `current` is in force, `previous` was before. While `trial`,
    the first night of `current` is not judged yet; `restarts` is how often the model had died before it.
    `minimum` is the lowest release that may be installed.
    """

    current: Slot | None = None
    previous: Slot | None = None
    pending: Slot | None = None
    trial: bool = False
    restarts: int = 0
    minimum: int = 0
    refused: tuple[str, ...] = ()


class BundleSlots:
    """The folder that holds both slots and `slots.json`; used by the service and by `bundle install`."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def state(self) -> SlotState:
        """What `slots.json` says; empty where there is none. Raises BundleError for another form of it."""
        path = self.folder / STATE
        try:
            values = json.loads(path.read_text("utf-8"))
            slots = {
                name: None if values[name] is None else Slot(**values[name])
                for name in ("current", "previous", "pending")
            }
            return SlotState(
                **slots,
                trial=bool(values["trial"]),
                restarts=int(values["restarts"]),
                minimum=int(values["minimum"]),
                refused=tuple(map(str, values["refused"])),
            )
        except FileNotFoundError:
            return SlotState()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(
                "slots", str(path), f"cannot be read ({error}); install a bundle anew"
            ) from error

    def current(self) -> Path:
        """Folder of the bundle in force. Raises BundleError where none was installed."""
        with self._locked():
            state = self.state()
            if state.current is None and state.pending is not None:
                state = self._advance(state, 0)
        if state.current is None:
            raise BundleError(
                "slots", str(self.folder), "no bundle is installed: eegvlm-rt bundle install FILE"
            )
        return self._path(state.current)

    def install(
        self,
        archive: str | os.PathLike[str],
        *,
        gates: Gates,
        epochs: str | os.PathLike[str] | None = None,
        trust: TrustPolicy | None = None,
        minimum: int | None = None,
    ) -> SlotState:
        """Verify an archive or bundle folder, rehearse it, and let it take over between two nights.

        `epochs` is the folder of a service's nights, whose stored signal it is rehearsed on; without any, on
        a simulated night. `minimum` raises the lowest release that may be installed from now on.

        Raises BundleError (and its subclasses) for a bundle that is refused; nothing changes then.
        """
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        with self._locked():
            state = self.state()
            try:
                # Four hurdles before anything changes: whose it is, whether it is older than this device
                # takes, whether it is in force already, and whether it passes its gates on this very device.
                slot = self._unpacked(Path(archive), trust)
                floor = max(state.minimum, minimum or 0)
                if slot.release < floor:
                    cure = f"this device takes release {floor} and later"
                    raise BundleError("provenance.release", slot.release, cure)
                if state.current is not None and slot.digest == state.current.digest:
                    raise BundleError("bundle", slot.model_id, "it is in force already")
                before = None if state.current is None else self._path(state.current)
                rehearse(self._path(slot), gates, epochs=epochs, current=before)
            except BaseException:
                self._tidy(state)
                raise
            state = replace(state, pending=slot, minimum=floor)
            self._write(state)
            self._tidy(state)
            return state

    def switch(self) -> bool:
        """Let the pending bundle take over; whether there was one. To be called between two nights."""
        if self.state().pending is None:
            return False
        with self._locked():
            state = self.state()
            if state.pending is None:
                return False
            self._advance(state, -1)
            return True

    def rollback(self) -> SlotState:
        """Go back to the previous bundle, or drop the pending one. Raises BundleError where there is neither,
        or the previous one is below the minimum.
        """
        with self._locked():
            state = self.state()
            if state.pending is not None and state.current is not None:
                state = replace(state, pending=None)
            elif state.previous is None or state.current is None:
                raise BundleError("slots", str(self.folder), "there is no previous bundle to go back to")
            elif state.previous.release < state.minimum:
                cure = f"this device takes release {state.minimum} and later"
                raise BundleError("provenance.release", state.previous.release, cure)
            else:
                refused = tuple(dict.fromkeys([*state.refused, state.current.digest]))[-16:]
                state = replace(
                    state, current=state.previous, previous=state.current, trial=False, refused=refused
                )
            self._write(state)
            return state

    def judge(self, night: BedNight, *, restarts: int) -> bool:
        """Judge the first night of a bundle; whether the slots went back. `restarts` is how often the model's
        process died since the service began.

        The night fails where more than a tenth of its epochs are failed or late, or the model died more than
        three times.
        """
        state = self.state()
        total = sum(night.outcomes.values())
        if not state.trial or not total:
            return False
        # The rehearsal was on signal of the past; the first whole night is the real test.
        bad = night.outcomes[str(Outcome.FAILED)] + night.outcomes[str(Outcome.LATE)]
        deaths = restarts - max(0, state.restarts)
        if bad / total <= FAILED_SHARE and deaths <= RESTARTS:
            with self._locked():
                self._write(replace(self.state(), trial=False))
            return False
        return self.give_up()

    def begin_trial(self, restarts: int) -> None:
        """Note how often the model had died when the trial began."""
        state = self.state()
        if state.trial and state.restarts < 0:
            with self._locked():
                self._write(replace(self.state(), restarts=restarts))

    def give_up(self) -> bool:
        """Go back where the bundle in force is on trial; whether that was so."""
        if not self.state().trial:
            return False
        try:
            self.rollback()
        except BundleError:
            return False
        return True

    def _advance(self, state: SlotState, restarts: int) -> SlotState:
        trial = state.current is not None
        state = replace(
            state, current=state.pending, previous=state.current, pending=None, trial=trial, restarts=restarts
        )
        self._write(state)
        self._tidy(state)
        return state

    def _unpacked(self, archive: Path, trust: TrustPolicy | None) -> Slot:
        """Bring a bundle into a folder of its own, named by its digest, verified."""
        staging = self.folder / ".incoming"
        shutil.rmtree(staging, ignore_errors=True)
        if archive.is_dir():
            opened = Bundle.open(archive, trust=trust)
            shutil.copytree(opened.path, staging, symlinks=True)
            bundle = Bundle.open(staging, trust=trust)
        else:
            bundle = unpack_bundle(archive, staging, trust=trust)
        release = bundle.manifest.provenance.get("release", 0)
        if not isinstance(release, int) or isinstance(release, bool) or release < 0:
            raise BundleError("provenance.release", release, "give an integer, 0 or more")
        slot = Slot(f"bundle-{bundle.digest[:16]}", bundle.digest, bundle.manifest.model_id, release)
        target = self._path(slot)
        if target.exists():
            Bundle.open(target, trust=trust)
            shutil.rmtree(staging)
        else:
            staging.rename(target)
        return slot

    def _tidy(self, state: SlotState) -> None:
        """Remove what no slot names."""
        folders = {s.folder for s in (state.current, state.previous, state.pending) if s is not None}
        for path in self.folder.glob("bundle-*"):
            if path.name not in folders:
                shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(self.folder / ".incoming", ignore_errors=True)

    def _write(self, state: SlotState) -> None:
        text = json.dumps(asdict(state), indent=1) + "\n"
        write_file(self.folder / STATE, text.encode(), overwrite=True)

    def _path(self, slot: Slot) -> Path:
        return self.folder / Path(slot.folder).name

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process changes the slots at a time; a service on a read-only file system may read them."""
        descriptor: int | None = None
        with suppress(OSError):
            descriptor = os.open(self.folder / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            if descriptor is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)


def facts(state: SlotState) -> dict[str, Any]:
    """JSON-able, for the command."""
    return asdict(state)
