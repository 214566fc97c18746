"""Fixtures shared by every test. What needs torch is imported where a test asks for it."""

from __future__ import annotations

import gc
import hashlib
import os
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from eegvlm_rt.stager import Stager
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import onnx
    from eegvlm_train.model import EegVlmForConditionalGeneration

# The runtime is tested without torch too.
if any(find_spec(name) is None for name in ("torch", "transformers", "accelerate")):
    collect_ignore_glob = ["export/*", "train/*"]

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure() -> None:
    """Under nohup, or behind a shell, signals are ignored, and what a test starts would ignore them too. Who
    runs the tests may also have defaults of their own."""
    os.environ["EEGVLM_RT_CONFIG"] = ""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real, scored recordings, kept beside the repository and never inside it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real recordings are not here: they belong in ../shared/data beside the repository")
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a bundle with random weights; no test changes it."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    write_tiny_bundle(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_stager(tiny_bundle: Path) -> Stager:
    """The tiny bundle's head, for what a source gives."""
    return Stager.load(tiny_bundle, mode="head", threads=1)


@pytest.fixture
def no_garbage_collector() -> Iterator[None]:
    """What is not held is freed, and circles stay, as they do for many nights in a service."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session")
def nights_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four labelled, measured nights of noise; the last one is the validation night."""
    from tests.train.noise_nights import noise_night

    folder = tmp_path_factory.mktemp("nights")
    for seed in range(4):
        noise_night(folder, seed)
    return folder


@pytest.fixture(scope="session", params=["edge-like", "tiny", "traced"])
def model(request: pytest.FixtureRequest) -> EegVlmForConditionalGeneration:
    """Each of the models of `tests.export.tiny_models`."""
    from tests.export.tiny_models import random_model

    return random_model(request.param)


@pytest.fixture(scope="session")
def tiny_model() -> EegVlmForConditionalGeneration:
    """The tiny model; what a test changes in it, it puts back."""
    from tests.export.tiny_models import random_model

    return random_model("tiny")


@pytest.fixture(scope="session")
def edge_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of the model whose layers are unlike the tiny one's."""
    from tests.export.tiny_models import save_checkpoint

    return save_checkpoint("edge-like", tmp_path_factory.mktemp("edge-like"))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of the tiny model."""
    from tests.export.tiny_models import save_checkpoint

    return save_checkpoint("tiny", tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def short_simulated_nights(monkeypatch: pytest.MonkeyPatch) -> None:
    """An export calibrates and compares on simulated nights of an hour in place of eight."""
    monkeypatch.setattr("eegvlm_export.quantize.epochs._HOURS", 1.0)


@pytest.fixture(scope="session")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of traced graphs, shared by the processes of this run."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return tmp_path_factory.mktemp("traces")
    folder = tmp_path_factory.getbasetemp().parent / "traces"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def traced_once(traces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export traces towers and heads of the same weights once: that they come out the same every time has
    tests of its own.
    """
    import eegvlm_export.bundle_files as files
    import onnx

    def once(export: Callable[..., onnx.ModelProto]) -> Callable[..., onnx.ModelProto]:
        def graph(model: EegVlmForConditionalGeneration, **options: object) -> onnx.ModelProto:
            weights = b"".join(value.numpy().tobytes() for value in model.state_dict().values())
            # Neither where a checkpoint lies nor what of it was never trained is in a graph.
            config = model.config.to_dict() | dict.fromkeys(("_name_or_path", "untrained"))
            key = f"{export.__name__} {options} {config} {hashlib.sha256(weights).hexdigest()}"
            path = traces / hashlib.sha256(key.encode()).hexdigest()
            if not path.exists():
                fresh = path.with_suffix(f".{os.getpid()}")
                fresh.write_bytes(export(model, **options).SerializeToString())
                fresh.rename(path)
            return onnx.load_from_string(path.read_bytes())

        return graph

    for function in (files.export_tower, files.export_head):
        monkeypatch.setattr(files, function.__name__, once(function))
