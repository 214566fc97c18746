"""The builder at work, without a GPU: TensorRT for RTX builds for one that is not there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eegvlm_rt.bundle import Bundle
from eegvlm_rt.cli import main
from eegvlm_rt.devices import DeviceFacts
from eegvlm_rt.errors import BackendError, BundleError
from eegvlm_rt.tensorrt import BuildOptions, PlanStore, TensorRT, build_engines
from eegvlm_rt.tensorrt.plan_builder import build_plan
from eegvlm_rt.tensorrt.profiles import Range
from tests.rt.tiny_bundle import write_tiny_bundle

pytest.importorskip("tensorrt_rtx")

AMPERE = DeviceFacts("a GPU that is not here", "8.6", "unknown")


@pytest.fixture(scope="module")
def trt() -> TensorRT:
    return TensorRT.load("tensorrt_rtx")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("build") / "tiny")


@pytest.fixture
def store(tmp_path: Path) -> PlanStore:
    return PlanStore(tmp_path / "engines")


def test_tower_and_language_model_are_built_once(bundle: Bundle, trt: TensorRT, store: PlanStore) -> None:
    said: list[str] = []
    first = build_engines(bundle, store, trt, AMPERE, ahead=True, progress=said.append)
    assert [(plan.record.key.component, plan.reused) for plan in first] == [("tower", False), ("llm", False)]
    assert all(len(store.read(plan.record)) > 10_000 for plan in first)
    again = build_engines(bundle, store, trt, AMPERE, ahead=True, progress=said.append)
    assert [(plan.record, plan.reused) for plan in again] == [(plan.record, True) for plan in first]
    assert said[-1] == "llm.fp32: there already, nothing changed"
    assert not list(store.folder.glob(".*"))


def test_a_change_is_said_and_built(bundle: Bundle, trt: TensorRT, store: PlanStore) -> None:
    said: list[str] = []
    build_engines(bundle, store, trt, AMPERE, ahead=True, components=("tower",))
    newer = replace(AMPERE, driver="580.65 CUDA 13.0")
    (plan,) = build_engines(
        bundle, store, trt, newer, ahead=True, components=("tower",), progress=said.append
    )
    assert plan.changed == ("driver was unknown, is 580.65 CUDA 13.0",)
    assert "the older plan will not do: driver was unknown" in said[0]
    assert [record.key.driver for record in store.plans()] == ["580.65 CUDA 13.0"]


@pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")
@pytest.mark.parametrize("kept", [b"", b"timings of something else"])
def test_timings_are_handed_to_the_builder_and_kept(
    bundle: Bundle, trt: TensorRT, store: PlanStore, monkeypatch: pytest.MonkeyPatch, kept: bytes
) -> None:
    """The calls alone: TensorRT for RTX takes them and times nothing."""
    monkeypatch.setattr(TensorRT, "times", True)
    store.keep_timing_cache(trt.name, "8.6", kept)
    (plan,) = build_engines(bundle, store, trt, AMPERE, ahead=True, components=("tower",))
    assert store.read(plan.record)


def test_a_plan_that_was_damaged_is_refused_and_can_be_built_again(
    bundle: Bundle, trt: TensorRT, store: PlanStore
) -> None:
    (plan,) = build_engines(bundle, store, trt, AMPERE, ahead=True, components=("tower",))
    (store.folder / plan.record.file).write_bytes(b"something else")
    with pytest.raises(BundleError, match="build it again"):
        build_engines(bundle, store, trt, AMPERE, ahead=True, components=("tower",))
    (mended,) = build_engines(bundle, store, trt, AMPERE, ahead=True, components=("tower",), again=True)
    assert store.read(mended.record)


@pytest.mark.parametrize("architecture", ["8.7", "9.0", "99.9"])
def test_an_architecture_it_does_not_know_is_named(
    bundle: Bundle, trt: TensorRT, store: PlanStore, architecture: str
) -> None:
    device = replace(AMPERE, architecture=architecture)
    with pytest.raises(BackendError, match=r"tower\.architecture.*SM86") as refused:
        build_engines(bundle, store, trt, device, ahead=True)
    assert refused.value.value == architecture
    assert store.plans() == []


def test_a_graph_it_cannot_read_is_a_typed_error(trt: TensorRT, tmp_path: Path) -> None:
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(b"no graph at all")
    with pytest.raises(BackendError) as refused:
        build_plan(trt, graph, (), "8.6", BuildOptions(), part="tower", ahead=True)
    assert refused.value.field == "tower.graph"


@pytest.mark.parametrize(
    ("shapes", "field"),
    [
        (({"pixels": Range((1,), (1,), (1,))},), "tower.inputs"),
        (({"pixel_values": Range((1, 3, 8, 8), (1, 3, 8, 8), (1, 3, 8, 8))},), "tower."),
    ],
)
def test_profiles_that_do_not_fit_the_graph_are_refused(
    bundle: Bundle, trt: TensorRT, shapes: tuple[dict[str, Range], ...], field: str
) -> None:
    graph = bundle.path / "tower.onnx"
    with pytest.raises(BackendError) as refused:
        build_plan(trt, graph, shapes, "8.6", BuildOptions(), part="tower", ahead=True)
    assert refused.value.field.startswith(field)


@pytest.mark.parametrize(
    "options", [{"workspace_gb": 0.0}, {"workspace_gb": 1e9}, {"level": 6}, {"level": -1}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(BackendError, match=next(iter(options))):
        BuildOptions(**options)  # type: ignore[arg-type]


def test_the_command_builds_lists_and_ships(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, shipped = str(tmp_path / "engines"), str(tmp_path / "shipped")
    command = ["bundle", "build-engines", str(bundle.path), "--architecture", "8.6", "--store", store]
    assert main([*command, "--level", "1", "--workspace", "0.5"]) == 0
    shown = capsys.readouterr()
    assert "Not a medical device" in shown.out
    assert "building for a GPU of compute capability 8.6" in shown.err
    assert main([*command, "--level", "1", "--workspace", "0.5", "--json", "--into", shipped]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [plan["reused"] for plan in report["plans"]] == [True, True]
    assert {plan["key"]["options"] for plan in report["plans"]} == {"workspace 0.5 GB, level 1"}
    assert main(["bundle", "verify", shipped]) == 0
    listed = Bundle.open(shipped).manifest.components["engines"].file.data
    assert {entry.file for entry in listed} == {plan["file"] for plan in report["plans"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "llm=int4_fused"], "llm.precision: int4_fused"),
        (["--precision", "head=int4"], "--precision"),
        (["--architecture", "sm_86"], "--architecture"),
    ],
)
def test_wrong_arguments_end_with_a_message(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    command = ["bundle", "build-engines", str(bundle.path), "--store", str(tmp_path / "engines")]
    assert main([*command, "--architecture", "8.6", *arguments]) == 2
    assert message in capsys.readouterr().err
