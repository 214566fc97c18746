"""Two slots for bundles: verified, rehearsed, switched between nights, taken back."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING, cast

import pytest

from eegvlm_rt.bundle import Bundle, pack_bundle
from eegvlm_rt.errors import BundleError, IntegrityError
from eegvlm_rt.service import BundleSlots
from eegvlm_rt.service.rehearsal import Gates
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from eegvlm_rt.service.night import BedNight

ANY = Gates(mode="head", agreement=0.0, threads=1)


def released(folder: Path, name: str, release: object, seed: int = 1) -> Path:
    """A packed bundle with random weights that bears a release."""
    bundle = write_tiny_bundle(folder / name, seed=seed)
    path = getattr(bundle, "path", bundle)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["provenance"]["release"] = release
    (path / "manifest.json").write_text(json.dumps(manifest))
    return pack_bundle(Bundle.open(path), folder / f"{name}.tar")


class NightOf:
    def __init__(self, **outcomes: int) -> None:
        self.outcomes = Counter(outcomes)


def night(**outcomes: int) -> BedNight:
    return cast("BedNight", NightOf(**outcomes))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose slots hold release 1, in force, and release 2, which waits for the end of the night."""
    folder = tmp_path_factory.mktemp("prepared")
    slots = BundleSlots(folder / "slots")
    with pytest.raises(BundleError, match="no bundle is installed"):
        slots.current()
    slots.install(released(folder, "one", 1), gates=ANY)
    first = slots.current()
    slots.install(released(folder, "two", 2, seed=2), gates=ANY)
    assert slots.current() == first
    return folder


@pytest.fixture
def slots(prepared: Path, tmp_path: Path) -> BundleSlots:
    shutil.copytree(prepared / "slots", tmp_path / "slots")
    return BundleSlots(tmp_path / "slots")


def test_an_update_waits_for_the_end_of_the_night_and_may_be_undone(slots: BundleSlots) -> None:
    first = slots.current()
    assert slots.switch()
    assert not slots.switch()
    second = slots.current()
    assert second != first
    assert slots.state().trial
    slots.rollback()
    assert slots.current() == first
    Bundle.open(first)
    assert sorted(path.name for path in slots.folder.glob("bundle-*")) == sorted([first.name, second.name])


@pytest.mark.parametrize(
    ("outcomes", "deaths", "back"),
    [
        ({"scored": 90, "late": 5, "failed": 5}, 0, False),
        ({"scored": 89, "failed": 11}, 0, True),
        ({"scored": 9}, 4, True),
    ],
)
def test_the_first_night_judges_a_bundle(
    slots: BundleSlots, outcomes: dict[str, int], deaths: int, back: bool
) -> None:
    first = slots.current()
    slots.switch()
    slots.begin_trial(5)
    assert not slots.judge(night(), restarts=5)
    assert slots.judge(night(**outcomes), restarts=5 + deaths) is back
    assert (slots.current() == first) is back
    assert not slots.judge(night(failed=10), restarts=99), "only the first night judges"


def test_what_is_refused_changes_nothing(slots: BundleSlots, prepared: Path, tmp_path: Path) -> None:
    before = (slots.folder / "slots.json").read_text()

    def refused(archive: Path, match: str, gates: Gates = ANY, minimum: int | None = None) -> None:
        with pytest.raises(BundleError, match=match):
            slots.install(archive, gates=gates, minimum=minimum)
        assert (slots.folder / "slots.json").read_text() == before
        assert len(list(slots.folder.glob("bundle-*"))) == 2
        assert not (slots.folder / ".incoming").exists()

    other = released(tmp_path, "other", 4, seed=5)
    refused(other, "takes release 5 and later", minimum=5)
    refused(released(tmp_path, "text", "9", seed=2), "give an integer")
    refused(prepared / "one.tar", "in force already")
    refused(other, "of stages as before", Gates(mode="head", agreement=1.01, threads=1))
    refused(other, "s are allowed", Gates(mode="head", agreement=0, answer_s=0.0, threads=1))
    data = bytearray(other.read_bytes())
    data[len(data) // 2] ^= 1
    broken = tmp_path / "broken.tar"
    broken.write_bytes(data)
    refused(broken, ".")
    broken.write_bytes(bytes(data[: len(data) // 3]))
    refused(broken, ".")
    refused(no_graph(tmp_path), "no ONNX graph")


def no_graph(folder: Path) -> Path:
    """A bundle whose digests are right and whose graph is none."""
    bundle = write_tiny_bundle(folder / "bad")
    path: Path = getattr(bundle, "path", bundle)
    manifest = json.loads((path / "manifest.json").read_text())
    tower = manifest["components"]["tower"]
    content = b"not a graph" * 100
    (path / tower["file"]).write_bytes(content)
    tower.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


def test_no_rollback_below_the_minimum(slots: BundleSlots) -> None:
    slots.switch()
    state = json.loads((slots.folder / "slots.json").read_text())
    (slots.folder / "slots.json").write_text(json.dumps({**state, "minimum": 2}))
    with pytest.raises(BundleError, match="takes release 2 and later"):
        slots.rollback()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"current": 3}', "\x00"])
def test_a_state_of_another_form_is_refused(slots: BundleSlots, text: str) -> None:
    (slots.folder / "slots.json").write_text(text)
    with pytest.raises(BundleError, match="slots"):
        slots.current()


def test_a_slot_that_was_changed_is_noticed_when_it_is_loaded(slots: BundleSlots) -> None:
    folder = slots.current()
    tower = folder / json.loads((folder / "manifest.json").read_text())["components"]["tower"]["file"]
    with tower.open("r+b") as handle:
        handle.seek(100)
        byte = handle.read(1)
        handle.seek(100)
        handle.write(bytes([byte[0] ^ 1]))
    with pytest.raises(IntegrityError):
        Bundle.open(folder)
