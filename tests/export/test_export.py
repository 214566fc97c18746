"""From checkpoint to bundle: measured through the runtime, published only where every gate passes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from eegvlm_export import Gate, GatesFailedError, Recipe, export_bundle
from eegvlm_export.cli import EXIT_GATES, EXIT_INPUT, main
from eegvlm_export.measure.scorer_agreement import kappa_gates, kappa_losses
from eegvlm_export.report import write_report
from eegvlm_export.weights.checkpoint import Checkpoint
from eegvlm_train.data.night_files import UV_PER_LSB, night_path, save_npz

from eegvlm_rt.bundle import Bundle
from eegvlm_rt.errors import BundleError
from eegvlm_rt.stager import Stager
from eegvlm_rt.stages import STAGES

pytestmark = pytest.mark.usefixtures("short_simulated_nights")

SMALL = Recipe(
    tower="fp16",
    tower_variants=("int8", "fp32"),
    llm="int4",
    llm_variants=("int8", "fp32", "int4_fused"),
    grey=True,
    calibration_epochs=8,
    parity_epochs=12,
    reasoning_epochs=2,
    gates=(
        Gate("agreement.head", at_least=0.9),
        Gate("tower.fp32.visual_tokens.max_abs", at_most=1e-3),
        Gate("llm.fp32.logits.max_abs", at_most=0.05),
    ),
)

FORBID_TORCH = """
import sys

class Forbidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "onnx", "eegvlm_train", "eegvlm_export"}:
            raise ImportError(f"{name} is not on the device")

sys.meta_path.insert(0, Forbidden)
"""

USE_BUNDLE = """
import json
import numpy as np
from eegvlm_rt.stager import Stager

stager = Stager.load(sys.argv[1], mode="cot", threads=1)
wave = 40 * np.sin(2 * np.pi * 10 * np.arange(3000) / 100)
answers = {mode: stager.predict_epoch(wave, 100, mode=mode).to_dict() for mode in ("head", "direct", "cot")}
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nights")
    rng = np.random.default_rng(0)
    for seed in range(2):
        x = rng.normal(0, 20 / UV_PER_LSB, (20, 3000)).astype(np.int16)
        save_npz(night_path(folder, seed), x=x, uv_per_lsb=UV_PER_LSB)
    return folder


@pytest.fixture(scope="module")
def export(checkpoint: Path, nights: Path) -> Callable[..., Bundle]:
    def run(destination: Path, recipe: Recipe = SMALL, **options: object) -> Bundle:
        arguments = {"calibration": nights, "parity": nights, "threads": 1} | options
        return export_bundle(checkpoint, destination, recipe, **arguments).bundle  # type: ignore[arg-type]

    return run


@pytest.fixture(scope="module")
def bundle(export: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(tmp_path_factory.mktemp("bundles") / "tiny")


def test_a_device_without_torch_opens_the_bundle_and_answers_in_every_mode(bundle: Bundle) -> None:
    code = FORBID_TORCH + USE_BUNDLE
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle.path)], capture_output=True, text=True, check=True
    )
    answers = json.loads(done.stdout)
    for answer in answers.values():
        assert sum(answer["probabilities"].values()) == pytest.approx(1.0)
    assert answers["cot"]["rationale"]["stage"] in {stage.name for stage in STAGES}
    assert answers["cot"]["finish"] == "complete"


def test_the_bundle_holds_every_precision_and_nothing_unlisted(bundle: Bundle) -> None:
    assert {path.name for path in bundle.path.iterdir()} == {
        "README.md",
        "embed_tokens.npy",
        "head.onnx",
        "llm.fp32.onnx",
        "llm.int4.onnx",
        "llm.int4_fused.onnx",
        "llm.int8.onnx",
        "manifest.json",
        "tokenizer.json",
        "tower.fp32.onnx",
        "tower.int8.onnx",
        "tower.onnx",
    }
    components = bundle.manifest.components
    assert (components["tower"].precision, sorted(components["tower"].variants)) == ("fp16", ["fp32", "int8"])
    assert (components["llm"].precision, sorted(components["llm"].variants)) == (
        "int4",
        ["fp32", "int4_fused", "int8"],
    )
    assert bundle.unlisted == ()


def test_every_graph_on_disk_is_standard_onnx(bundle: Bundle) -> None:
    graphs = [path for path in sorted(bundle.path.glob("*.onnx")) if "fused" not in path.name]
    assert len(graphs) == 7
    for path in graphs:
        onnx.checker.check_model(path, full_check=True)
        assert {node.domain for node in onnx.load(path).graph.node} == {""}


def test_the_manifest_describes_the_checkpoint(bundle: Bundle, checkpoint: Path) -> None:
    loaded = Checkpoint.load(checkpoint)
    manifest = bundle.manifest
    assert manifest.model_id == "tiny"
    assert manifest.render == loaded.processor.render.to_dict()
    assert manifest.preprocessing == loaded.processor.preprocessing.to_dict()
    assert manifest.prompt == loaded.processor.prompt.to_dict()
    assert manifest.visual_tokens == loaded.config.num_visual_tokens
    assert manifest.stage_tokens == {stage.name: token for stage, token in loaded.stage_tokens.items()}
    assert manifest.provenance["checkpoint_sha256"] == loaded.digest
    assert "torch" in manifest.provenance["packages"]
    assert manifest.provenance["epochs"] == {"calibration": "stored nights", "parity": "stored nights"}


def test_figures_cover_every_precision_and_every_answer(bundle: Bundle) -> None:
    parity = bundle.manifest.parity
    assert (parity["epochs"], parity["reasoning_epochs"]) == (12, 2)
    assert set(parity["agreement"]) == {"head", "direct", "cot", "text", "text_similarity"}
    assert list(parity["tower"]) == ["fp16", "int8", "fp32"]
    assert list(parity["llm"]) == ["int4", "int8", "fp32", "int4_fused"]
    rms = {name: figures["visual_tokens"]["relative_rms"] for name, figures in parity["tower"].items()}
    assert rms["fp32"] < rms["fp16"] < rms["int8"] < 0.2
    lost = {name: figures["logits"]["relative_rms"] for name, figures in parity["llm"].items()}
    assert lost["fp32"] < lost["int8"] < lost["int4"]
    assert all(gate["passed"] for gate in parity["gates"].values())


def test_no_path_of_the_exporting_machine_is_in_the_bundle(bundle: Bundle, checkpoint: Path) -> None:
    for path in bundle.path.iterdir():
        content = path.read_bytes()
        assert str(checkpoint.parent).encode() not in content
        assert str(Path(__file__).resolve().parents[2]).encode() not in content


def test_a_second_export_gives_the_same_bundle_byte_for_byte(
    export: Callable[..., Bundle], bundle: Bundle, tmp_path: Path
) -> None:
    again = export(tmp_path / "again")
    digests = [{entry.file: entry.sha256 for entry in b.manifest.files()} for b in (bundle, again)]
    assert digests[0] == digests[1]
    assert again.digest == bundle.digest


def test_another_checkpoint_gives_another_digest(checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    assert Checkpoint.load(copy).digest == Checkpoint.load(checkpoint).digest
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"preset_name": "other"}))
    assert Checkpoint.load(copy).digest != Checkpoint.load(checkpoint).digest


def test_a_network_of_other_layers_is_exported(edge_like: Path, nights: Path, tmp_path: Path) -> None:
    recipe = Recipe(
        tower="int8",
        llm="int8",
        head="int8",
        block_size=16,
        calibration_epochs=4,
        parity_epochs=4,
        reasoning_epochs=1,
        gates=(Gate("llm.int8.logits.relative_rms", at_most=0.1),),
    )
    exported = export_bundle(edge_like, tmp_path / "b", recipe, calibration=nights, parity=nights)
    assert exported.bundle.component("tower").file.file == "tower.int8.onnx"
    stager = Stager.load(exported.bundle.path, threads=1)
    wave = 30 * np.sin(np.arange(3000) / 7)
    assert stager.predict_epoch(wave, 100).rationale is not None


@pytest.mark.usefixtures("traced_once")
def test_a_failing_gate_publishes_nothing_and_leaves_the_older_bundle_in_place(
    export: Callable[..., Bundle], bundle: Bundle, tmp_path: Path
) -> None:
    place = tmp_path / "tiny"
    shutil.copytree(bundle.path, place)
    recipe = Recipe(parity_epochs=2, reasoning_epochs=0, gates=(Gate("bytes.total", at_most=1),))
    with pytest.raises(GatesFailedError):
        export(place, recipe, overwrite=True)
    assert Bundle.open(place).digest == bundle.digest
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_an_existing_bundle_is_replaced_only_on_request(bundle: Bundle, checkpoint: Path) -> None:
    with pytest.raises(BundleError, match="overwrite"):
        export_bundle(checkpoint, bundle.path, SMALL)


@pytest.mark.usefixtures("traced_once")
def test_a_figure_that_was_not_measured_ends_the_command_with_3_and_a_table(
    checkpoint: Path, nights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "strict.yaml"
    recipe.write_text("parity_epochs: 2\nreasoning_epochs: 0\ngates:\n  agreement.cot: {at_least: 0.5}\n")
    out = tmp_path / "out"
    status = main([str(checkpoint), "-o", str(out), "--recipe", str(recipe), "--parity", str(nights)])
    shown = capsys.readouterr().err
    assert status == EXIT_GATES == 3
    assert re.search(r"agreement\.cot .*>= 0\.5 .*not measured .*FAIL", shown)
    assert [path.name for path in tmp_path.iterdir()] == ["strict.yaml"]


@pytest.mark.usefixtures("traced_once")
def test_the_command_publishes_and_reports(
    checkpoint: Path, nights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "out", tmp_path / "report.json"
    recipe = tmp_path / "loose.yaml"
    recipe.write_text("reasoning_epochs: 1\ngates: {}\n")
    arguments = [str(checkpoint), "-o", str(out), "--recipe", str(recipe), "--parity", str(nights)]
    options = [
        "--precision",
        "llm=int8",
        "--parity-epochs",
        "2",
        "--model-id",
        "mine",
        "--report",
        str(report),
    ]
    assert main(arguments + options) == 0
    bundle = Bundle.open(out)
    assert capsys.readouterr().out.split() == [str(out), bundle.digest]
    assert (bundle.manifest.model_id, bundle.component("llm").precision) == ("mine", "int8")
    content = json.loads(report.read_text())
    assert content["speed_ms"]["llm.int8.prefill"] > 0
    assert content["figures"]["bytes"]["total"] > 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--recipe", "missing"], "missing"),
        (["--precision", "int4"], "PRECISION"),
        (["--precision", "llm=int2"], "int2"),
        (["--evaluate", "folder"], "real:FOLDER"),
        (["--modes", "fast"], "fast"),
        (["--parity-epochs", "0"], "parity_epochs"),
        ([], "config.json"),
    ],
)
def test_wrong_input_ends_with_2_and_names_the_cure(
    arguments: list[str], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), "-o", str(tmp_path / "out"), *arguments]) == EXIT_INPUT
    assert word in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out like the real recordings: noise, two epochs, one of them scored."""
    folder = tmp_path_factory.mktemp("scored")
    (folder / "dreams").mkdir()
    np.savez(
        folder / "dreams" / "excerpt1.npz",
        signal_uv=np.random.default_rng(1).normal(0, 20, 200 * 60),
        sfreq=200,
        stage_30s=np.array([2, -1]),
        purity_30s=np.ones(2),
    )
    return folder


@pytest.mark.usefixtures("traced_once")
def test_agreement_with_scorers_is_published_and_may_be_a_gate(
    export: Callable[..., Bundle], scored: Path, tmp_path: Path
) -> None:
    gate = Gate("accuracy.real.modes.direct.all.accuracy", at_least=0.0)
    recipe = Recipe(parity_epochs=2, reasoning_epochs=0, gates=(gate,))
    bundle = export(tmp_path / "b", recipe, evaluations=[f"real:{scored}"])
    real = bundle.manifest.accuracy["real"]
    assert real["n"] == 1
    assert {mode: rows["all"]["n"] for mode, rows in real["modes"].items()} == {
        "head": 1,
        "direct": 1,
        "cot": 1,
    }
    gates = bundle.manifest.parity["gates"]
    assert gates[gate.figure]["passed"]
    assert {"kappa_loss.real.head", "kappa_loss.real.direct"} & set(gates) == set(gates) - {gate.figure}
    card = (bundle.path / "README.md").read_text(encoding="utf-8")
    assert "| real | cot | 1 |" in card
    assert "claims in the reasoning about the real epochs" in card


def test_a_lost_kappa_is_measured_and_bounded() -> None:
    before, after = (
        {"modes": {"head": {"all": {"kappa": head}}, "direct": {"all": {"kappa": None}}}}
        for head in (0.7, 0.65)
    )
    losses = {"real": kappa_losses(before, after)}
    assert losses == {"real": {"head": 0.05}}
    (gate,) = kappa_gates(Recipe(), losses)
    assert (gate.figure, gate.at_most, gate.admits(0.05)) == ("kappa_loss.real.head", 0.01, False)


@pytest.mark.usefixtures("traced_once")
def test_scoring_of_the_checkpoint_goes_to_the_manifest(
    checkpoint: Path, nights: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, copy)
    (copy / "scoring.json").write_text('{"temperature": {"head": 1.25, "direct": 1.0, "cot": 1.0}}')
    recipe = Recipe(parity_epochs=1, reasoning_epochs=0)
    work, report = tmp_path / "work", tmp_path / "report.html"
    exported = export_bundle(copy, tmp_path / "b", recipe, parity=nights, keep=work)
    assert exported.bundle.manifest.scoring["temperature"]["head"] == 1.25
    assert len(list(work.iterdir())) == 8
    page = write_report(report, exported, recipe).read_text(encoding="utf-8")
    assert "layers.1.down.weight" in page
    assert "http" not in page


def test_the_card_states_limits_files_and_figures(bundle: Bundle) -> None:
    card = (bundle.path / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# tiny\n")
    assert "Not a medical device" in card
    for name in ("tower.onnx", "tower.int8.onnx", "llm.int4.onnx", "embed_tokens.npy"):
        assert f"`{name}`" in card
    assert "measured no agreement with human scorers" in card
    assert bundle.manifest.provenance["checkpoint_sha256"] in card
    assert "$" not in card


def test_the_card_carries_the_checkpoints_own_account_of_its_training(
    checkpoint: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, copy)
    assert Checkpoint.load(copy).training == ""
    (copy / "TRAINING.md").write_text("On nights that nobody slept.\n", encoding="utf-8")
    assert "nobody slept" in Checkpoint.load(copy).training


@pytest.mark.parametrize("missing", ["config.json", "processor.json", "tokenizer.json", "model.safetensors"])
def test_a_checkpoint_that_lacks_a_file_is_named(checkpoint: Path, missing: str, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "c")
    (tmp_path / "c" / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing.removeprefix("model.")):
        Checkpoint.load(tmp_path / "c")
