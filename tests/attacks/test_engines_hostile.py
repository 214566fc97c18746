"""A plan is native code: whatever is not just what this user built, or a manifest lists, is never opened."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from eegvlm_rt.bundle import Bundle
from eegvlm_rt.errors import BackendError, BundleError, EegVlmError, IntegrityError
from eegvlm_rt.tensorrt import PlanStore, build_engines, engine_key, precision_for
from eegvlm_rt.tensorrt.accelerator import Accelerator
from eegvlm_rt.tensorrt.build import shapes_of
from eegvlm_rt.tensorrt.shipped_plans import shipped_plan, write_with_engines
from tests.rt.tensorrt.fake_gpu import FakeGpu, fake_plan, fake_tensorrt
from tests.rt.tensorrt.plan_keys import KEY, publish
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

PLAN = b"native code"


@pytest.fixture
def store(tmp_path: Path) -> PlanStore:
    return PlanStore(tmp_path / "engines")


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class TestStore:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"native c0de", "sha256"),
            (b"native cod", "10 bytes"),
            (b"native code and more", "20 bytes"),
            (b"", "0 bytes"),
        ],
    )
    def test_other_bytes_than_were_built_are_refused(
        self, store: PlanStore, content: bytes, message: str
    ) -> None:
        record = publish(store, plan=PLAN)
        (store.folder / record.file).write_bytes(content)
        with pytest.raises(IntegrityError, match=message):
            store.read(record)

    @pytest.mark.parametrize("hard", [False, True])
    def test_a_link_in_place_of_a_plan_is_refused_or_has_its_digest(
        self, store: PlanStore, tmp_path: Path, hard: bool
    ) -> None:
        record = publish(store, plan=PLAN)
        path, other = store.folder / record.file, tmp_path / "other"
        path.unlink()
        other.write_bytes(b"evil native")
        os.link(other, path) if hard else path.symlink_to(other)
        with pytest.raises(IntegrityError):
            store.read(record)

    @pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
    def test_a_store_that_others_may_write_is_refused(self, store: PlanStore, mode: int) -> None:
        record = publish(store)
        store.folder.chmod(mode)
        for use in (
            lambda: PlanStore(store.folder),
            lambda: store.find(KEY),
            lambda: store.read(record),
            lambda: publish(store),
        ):
            with pytest.raises(BundleError, match="others may write there"):
                use()

    def test_a_store_of_somebody_else_is_refused(
        self, store: PlanStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(store)
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        with pytest.raises(BundleError, match="belongs to user"):
            PlanStore(store.folder)

    def test_a_linked_store_is_refused(self, store: PlanStore, tmp_path: Path) -> None:
        publish(store)
        (tmp_path / "link").symlink_to(store.folder)
        with pytest.raises(BundleError, match="not a link"):
            PlanStore(tmp_path / "link")

    @pytest.mark.parametrize("file", ["../outside.plan", "/etc/passwd", "other.plan", "", "."])
    def test_a_record_that_names_another_file_is_refused(self, store: PlanStore, file: str) -> None:
        publish(store)
        edit(store.folder / f"{KEY.name}.json", file=file)
        with pytest.raises(BundleError, match="record of another plan"):
            store.find(KEY)

    def test_a_record_under_another_keys_name_is_refused(self, store: PlanStore) -> None:
        publish(store)
        other = replace(KEY, architecture="8.6")
        (store.folder / f"{KEY.name}.json").rename(store.folder / f"{other.name}.json")
        with pytest.raises(BundleError, match="record of another plan"):
            store.find(other)

    @pytest.mark.parametrize(
        "changes",
        [{"key": {}}, {"key": None}, {"bytes": "many"}, {"seconds": None}, {"key": {"component": "llm"}}],
    )
    def test_a_record_of_another_form_is_a_typed_error(
        self, store: PlanStore, changes: dict[str, Any]
    ) -> None:
        publish(store)
        edit(store.folder / f"{KEY.name}.json", **changes)
        with pytest.raises(BundleError):
            store.find(KEY)

    @pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"a":1,"a":2}', b"{" * 100_000])
    def test_what_is_no_record_is_a_typed_error(self, store: PlanStore, content: bytes) -> None:
        publish(store)
        (store.folder / f"{KEY.name}.json").write_bytes(content)
        with pytest.raises(BundleError):
            store.find(KEY)

    def test_a_plan_without_a_record_is_never_found(self, store: PlanStore) -> None:
        record = publish(store)
        (store.folder / f"{KEY.name}.json").unlink()
        assert (store.folder / record.file).exists()
        assert store.find(KEY) is None
        assert store.usable(KEY) is None


class TestShipped:
    @pytest.fixture
    def accelerator(self, tmp_path: Path) -> Accelerator:
        gpu = FakeGpu()
        return Accelerator(fake_tensorrt(gpu), gpu, PlanStore(tmp_path / "engines"))

    @pytest.fixture
    def folder(self, tmp_path: Path, accelerator: Accelerator) -> Path:
        """A bundle that lists a plan for the fake GPU, which has none in its store."""
        bundle = write_tiny_bundle(tmp_path / "tiny")
        builder = PlanStore(tmp_path / "elsewhere")
        records = []
        for part in ("tower", "llm"):
            name = precision_for(bundle.manifest, part)
            key = engine_key(bundle, part, name, accelerator.trt, accelerator.device.facts)
            plan = fake_plan(bundle.read(bundle.component(part)), shapes_of(bundle.manifest, part))
            records.append(publish(builder, key, plan))
        write_with_engines(bundle, tmp_path / "shipped", builder, records)
        return tmp_path / "shipped"

    def test_a_listed_plan_is_opened(self, folder: Path, accelerator: Accelerator) -> None:
        accelerator.tower(Bundle.open(folder))
        assert accelerator.store.plans() == []

    def test_a_plan_for_another_device_is_not(self, folder: Path, accelerator: Accelerator) -> None:
        other = FakeGpu(replace(accelerator.device.facts, driver="CUDA 13.0"))
        elsewhere = Accelerator(fake_tensorrt(other), other, accelerator.store)
        with pytest.raises(BackendError, match="build-engines"):
            elsewhere.tower(Bundle.open(folder))

    def test_a_changed_plan_is_refused_with_the_bundle(self, folder: Path) -> None:
        plan = next(folder.glob("tower*.plan"))
        content = bytearray(plan.read_bytes())
        content[-1] ^= 1
        plan.write_bytes(content)
        with pytest.raises(IntegrityError, match="sha256"):
            Bundle.open(folder)

    def test_a_plan_swapped_after_opening_is_refused(self, folder: Path, accelerator: Accelerator) -> None:
        bundle = Bundle.open(folder)
        plan = next(folder.glob("tower*.plan"))
        plan.write_bytes(plan.read_bytes()[::-1])
        with pytest.raises(IntegrityError):
            accelerator.tower(bundle)

    def test_an_unlisted_plan_in_the_folder_is_never_opened(
        self, folder: Path, accelerator: Accelerator, tmp_path: Path
    ) -> None:
        plain = tmp_path / "tiny"
        for plan in folder.glob("*.plan"):
            (plain / plan.name).write_bytes(plan.read_bytes())
        (plain / "engines.json").write_bytes((folder / "engines.json").read_bytes())
        with pytest.raises(BackendError, match="none was built"):
            accelerator.tower(Bundle.open(plain))

    @pytest.mark.parametrize(
        "index",
        [
            b"{}",
            b"not json",
            b'{"format": "eegvlm-rt engines", "version": 2, "plans": []}',
            b'{"format": "eegvlm-rt engines", "version": 1, "plans": {}}',
            b'{"format": "eegvlm-rt engines", "version": 1, "plans": [{"key": 1, "file": "x"}]}',
            b'{"format": "eegvlm-rt engines", "version": 1, "plans": [{"key": {}, "file": "x"}]}',
        ],
    )
    def test_an_index_of_another_form_is_a_typed_error(
        self, folder: Path, accelerator: Accelerator, index: bytes
    ) -> None:
        from tests.attacks.test_bundle_hostile import replace_file

        replace_file(folder, "engines", index)
        bundle = Bundle.open(folder)
        key = engine_key(bundle, "tower", "fp32", accelerator.trt, accelerator.device.facts)
        with pytest.raises(BundleError):
            shipped_plan(bundle, key)

    def test_an_index_that_names_an_unlisted_file_is_refused(
        self, folder: Path, accelerator: Accelerator
    ) -> None:
        from tests.attacks.test_bundle_hostile import replace_file

        index = json.loads((folder / "engines.json").read_text())
        for plan in index["plans"]:
            plan["file"] = "tower.onnx"
        replace_file(folder, "engines", json.dumps(index).encode())
        with pytest.raises(BundleError, match=r"engines\.file"):
            accelerator.tower(Bundle.open(folder))


class TestBuilding:
    def test_a_bundle_that_was_not_verified_is_not_built_from(self, tmp_path: Path, store: PlanStore) -> None:
        write_tiny_bundle(tmp_path / "tiny")
        gpu = FakeGpu()
        bundle = Bundle.open(tmp_path / "tiny", verify=False)
        with pytest.raises(BundleError, match="verify=True"):
            build_engines(bundle, store, fake_tensorrt(gpu), gpu.facts)

    def test_a_graph_that_changed_since_it_was_verified_is_not_parsed(
        self, tmp_path: Path, store: PlanStore
    ) -> None:
        bundle = write_tiny_bundle(tmp_path / "tiny")
        graph = tmp_path / "tiny" / "tower.onnx"
        content = bytearray(graph.read_bytes())
        content[50] ^= 1
        graph.write_bytes(content)
        gpu = FakeGpu()
        with pytest.raises(IntegrityError, match="sha256"):
            build_engines(bundle, store, fake_tensorrt(gpu), gpu.facts)
        assert store.plans() == []

    def test_every_refusal_is_typed(self) -> None:
        assert issubclass(IntegrityError, EegVlmError)
        assert issubclass(BackendError, EegVlmError)
