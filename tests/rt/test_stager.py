"""The stager: the same answers by every way in, honest about poor signal, careful about its input."""

from __future__ import annotations

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
import pytest

from eegvlm_rt import stager as stager_module
from eegvlm_rt.decoding import Finish
from eegvlm_rt.errors import BundleError, InputError, SamplingRateError, UnitError
from eegvlm_rt.findings import measure
from eegvlm_rt.prediction import AnsweredBy
from eegvlm_rt.prompt import Mode
from eegvlm_rt.rationale import check, parse
from eegvlm_rt.signal.conditioning import condition_epoch
from eegvlm_rt.signal.quality import QualityFlag, assess
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stager import Stager, predict_epoch
from eegvlm_rt.stages import STAGES
from tests.rt.comparing import assert_same
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


MODES = ["head", "direct", "cot"]


def _three(_index: int, _text: str, _more: str) -> None:
    """No function that `on_text` could be."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models") / "nano"
    write_tiny_bundle(place)
    return place


@pytest.fixture(scope="module")
def stager(folder: Path) -> Stager:
    return Stager.load(folder, threads=2)


@pytest.fixture(scope="module")
def night() -> np.ndarray:
    return simulate_night(3, hours=0.2).samples_uv


@pytest.fixture(scope="module")
def epochs(night: np.ndarray) -> np.ndarray:
    return night[:36_000].reshape(-1, 3000)


class TestOneEpoch:
    @pytest.mark.parametrize("mode", MODES)
    def test_the_stage_is_the_most_probable_one(self, stager: Stager, epochs: np.ndarray, mode: str) -> None:
        found = stager.predict_epoch(epochs[0], 100, mode=mode)
        assert sum(found.probabilities.values()) == pytest.approx(1.0)
        assert found.stage == max(STAGES, key=found.probabilities.__getitem__)
        assert found.mode is Mode(mode)

    def test_the_head_is_a_second_opinion_in_every_mode(self, stager: Stager, epochs: np.ndarray) -> None:
        head = stager.predict_epoch(epochs[0], 100, mode="head")
        assert head.source is AnsweredBy.HEAD
        assert head.agrees
        for mode in ("direct", "cot"):
            found = stager.predict_epoch(epochs[0], 100, mode=mode)
            assert found.head is not None
            assert found.head.probabilities == head.probabilities
            assert found.agrees == (found.stage == head.stage)

    def test_reasoning_is_parsed_and_checked_against_the_signal(
        self, stager: Stager, epochs: np.ndarray
    ) -> None:
        found = stager.predict_epoch(epochs[0], 100)
        assert found.finish is Finish.COMPLETE
        assert found.rationale == parse(found.rationale_text)
        assert found.findings == measure(condition_epoch(epochs[0], 100))
        assert found.checks == check(found.rationale, found.findings)
        assert found.quality == assess(epochs[0], 100)

    @pytest.mark.parametrize("mode", ["head", "direct"])
    def test_other_modes_have_no_text(self, stager: Stager, epochs: np.ndarray, mode: str) -> None:
        found = stager.predict_epoch(epochs[0], 100, mode=mode)
        assert (found.rationale, found.rationale_text, found.checks) == (None, "", ())
        assert found.finish is Finish.NONE
        assert found.timing.tokens == 0

    def test_time_is_accounted_for(self, stager: Stager, epochs: np.ndarray) -> None:
        timing = stager.predict_epoch(epochs[0], 100).timing
        parts = (timing.render_ms, timing.tower_ms, timing.prefill_ms, timing.decode_ms)
        assert all(part > 0 for part in parts)
        assert sum(parts) <= timing.total_ms
        assert 0 < timing.first_token_ms <= timing.stage_ms <= timing.total_ms
        assert timing.tokens > timing.steps > 0

    @pytest.mark.parametrize(
        ("unit", "factor"), [("uV", 1), ("µV", 1), ("mV", 1e-3), ("V", 1e-6), ("nV", 1e3)]
    )
    def test_the_unit_does_not_change_the_answer(
        self, stager: Stager, epochs: np.ndarray, unit: str, factor: float
    ) -> None:
        expected = stager.predict_epoch(epochs[1], 100)
        found = stager.predict_epoch(epochs[1].astype(np.float64) * factor, 100, unit)
        assert found.stage == expected.stage
        assert found.rationale_text == expected.rationale_text

    @pytest.mark.parametrize("sfreq", [50, 100, 128.0, 200, 256, 512, 1000, 4096])
    def test_any_usual_rate_is_read(self, stager: Stager, sfreq: float) -> None:
        t = np.arange(round(30 * sfreq)) / sfreq
        found = stager.predict_epoch(40 * np.sin(2 * np.pi * 10 * t), sfreq, mode="head")
        assert found.findings.rhythm == "alpha"

    def test_place_and_channel_are_carried_along(self, stager: Stager, epochs: np.ndarray) -> None:
        found = stager.predict_epoch(epochs[0], 100, channel="Fpz", mode="head", start_s=60.0, index=2)
        assert (found.channel, found.start_s, found.index) == ("Fpz", 60.0, 2)

    def test_an_epoch_conditioned_already_gives_the_same(self, stager: Stager, epochs: np.ndarray) -> None:
        expected = stager.predict_epoch(epochs[2], 100)
        found = stager.predict_conditioned(condition_epoch(epochs[2], 100), expected.quality)
        assert_same([found], [expected], 0.0)

    def test_several_threads_may_ask_at_once(self, stager: Stager, epochs: np.ndarray) -> None:
        alone = [stager.predict_epoch(x, 100) for x in epochs[:6]]
        with ThreadPoolExecutor(3) as pool:
            together = list(pool.map(lambda x: stager.predict_epoch(x, 100), epochs[:6]))
        assert_same(together, alone, 0.0)


class TestInput:
    def test_a_length_that_is_not_30_s_names_n_samples(self, stager: Stager) -> None:
        with pytest.raises(
            InputError, match="n_samples: 2998; an epoch is 30 s: give 3000 samples at 100 Hz"
        ):
            stager.predict_epoch(np.ones(2998), 100)

    @pytest.mark.parametrize("n", [2999, 3000, 3001])
    def test_one_sample_more_or_less_is_an_epoch(self, stager: Stager, night: np.ndarray, n: int) -> None:
        found = stager.predict_epoch(night[:n], 100, mode="head")
        assert found.quality.missing_share == 0.0
        assert found.stage is not None

    @pytest.mark.parametrize("x", [np.ones((1, 3000)), np.ones((3000, 1)), np.float32(1.0)])
    def test_one_channel_is_one_dimension(self, stager: Stager, x: np.ndarray) -> None:
        with pytest.raises(InputError, match="x: shape") as caught:
            stager.predict_epoch(x, 100)
        cures = {(1, 3000): "x[0]", (3000, 1): "x[:, 0]", (): "(n_samples,)"}
        assert caught.value.cure.endswith(cures[x.shape])

    @pytest.mark.parametrize("x", [np.array(["a"] * 3000), np.ones(3000, dtype=complex)])
    def test_samples_are_real_numbers(self, stager: Stager, x: np.ndarray) -> None:
        with pytest.raises(InputError, match="dtype"):
            stager.predict_epoch(x, 100)

    @pytest.mark.parametrize("sfreq", [0, -100, 49.9, 5000, math.nan, math.inf])
    def test_rates_outside_50_to_4096_hz_are_refused(self, stager: Stager, sfreq: float) -> None:
        with pytest.raises(SamplingRateError, match="sfreq"):
            stager.predict_epoch(np.ones(3000), sfreq)

    def test_volts_called_microvolts_are_refused_with_the_factor(
        self, stager: Stager, epochs: np.ndarray
    ) -> None:
        with pytest.raises(UnitError, match="1e6"):
            stager.predict_epoch(epochs[0] * 1e-6, 100)
        with pytest.raises(UnitError, match="1e6"):
            stager.predict_epoch(epochs[0], 100, "V")

    def test_an_unknown_unit_is_refused(self, stager: Stager, epochs: np.ndarray) -> None:
        with pytest.raises(UnitError, match="unit"):
            stager.predict_epoch(epochs[0], 100, "kV")

    @pytest.mark.parametrize("mode", ["fast", "", "HEAD"])
    def test_an_unknown_mode_is_refused(self, stager: Stager, folder: Path, mode: str) -> None:
        with pytest.raises(InputError, match="mode"):
            stager.predict_epoch(np.ones(3000), 100, mode=mode)
        with pytest.raises(InputError, match="mode"):
            Stager.load(folder, mode=mode)

    @pytest.mark.parametrize("batch", [0, -1, 65, 1.5])
    def test_the_batch_is_a_small_number(self, stager: Stager, epochs: np.ndarray, batch: int) -> None:
        with pytest.raises(InputError, match="batch"):
            stager.predict_recording(epochs, sfreq=100, batch=batch)

    @pytest.mark.parametrize("threads", [0, -1, 1000, "two"])
    def test_the_number_of_threads_is_sane(self, folder: Path, threads: int) -> None:
        with pytest.raises(InputError, match="threads"):
            Stager.load(folder, threads=threads)

    def test_a_precision_is_of_a_component_that_has_some(self, folder: Path) -> None:
        with pytest.raises(InputError, match="precision"):
            Stager.load(folder, precision={"tokenizer": "int8"})
        with pytest.raises(BundleError, match="int8"):
            Stager.load(folder, precision={"tower": "int8"})

    @pytest.mark.parametrize("deadline_s", [-1.0, math.nan])
    def test_a_deadline_lies_ahead(self, stager: Stager, epochs: np.ndarray, deadline_s: float) -> None:
        with pytest.raises(InputError, match="deadline_s"):
            stager.predict_epoch(epochs[0], 100, deadline_s=deadline_s)

    @pytest.mark.parametrize("x", [np.ones(2999, "f4"), np.ones((1, 3000), "f4"), np.array(["a"] * 3000)])
    def test_a_conditioned_epoch_has_3000_samples(self, stager: Stager, x: np.ndarray) -> None:
        with pytest.raises(InputError, match="x"):
            stager.predict_conditioned(x, assess(np.ones(3000), 100))


class TestPoorSignal:
    @pytest.mark.parametrize("mode", MODES)
    def test_nothing_to_look_at_is_a_row_without_a_stage(self, stager: Stager, mode: str) -> None:
        found = stager.predict_epoch(np.full(3000, np.nan), 100, mode=mode)
        assert (found.stage, found.head, found.agrees, found.source) == (None, None, False, AnsweredBy.NONE)
        assert found.probabilities == dict.fromkeys(STAGES, 0.2)
        assert found.quality.flags == {QualityFlag.MISSING}
        assert not found.quality.scorable

    def test_a_flat_epoch_keeps_the_stage_and_is_not_scorable(self, stager: Stager) -> None:
        found = stager.predict_epoch(np.zeros(3000), 100)
        assert found.stage is not None
        assert QualityFlag.FLAT in found.quality.flags
        assert not found.quality.scorable

    def test_an_epoch_mostly_missing_keeps_the_stage_and_is_not_scorable(
        self, stager: Stager, epochs: np.ndarray
    ) -> None:
        x = epochs[0].copy()
        x[1000:] = np.nan
        found = stager.predict_epoch(x, 100)
        assert found.stage is not None
        assert found.quality.missing_share == pytest.approx(2 / 3, abs=1e-3)
        assert not found.quality.scorable

    def test_rows_without_signal_stay_in_their_place(self, stager: Stager, epochs: np.ndarray) -> None:
        x = epochs.copy()
        x[[0, 5, 6, 11]] = np.nan
        found = list(stager.predict_recording(x, sfreq=100))
        assert [i for i, row in enumerate(found) if row.stage is None] == [0, 5, 6, 11]
        assert [row.index for row in found] == list(range(12))


class TestStopping:
    def test_text_comes_as_it_is_decided(self, stager: Stager, epochs: np.ndarray) -> None:
        pieces: list[str] = []
        found = stager.predict_epoch(epochs[0], 100, on_text=pieces.append)
        assert "".join(pieces) == found.rationale_text
        assert len(pieces) > 10
        numbered: list[tuple[int, str]] = []
        stager.predict_epoch(epochs[0], 100, index=7, on_text=lambda *piece: numbered.append(piece))
        assert numbered == [(7, piece) for piece in pieces]

    @pytest.mark.parametrize("on_text", ["print", lambda: None, _three])
    def test_on_text_takes_the_text_or_index_and_text(
        self, stager: Stager, epochs: np.ndarray, on_text: Any
    ) -> None:
        with pytest.raises(InputError, match=r"on_text: .*give a function of \(index, text\)"):
            stager.predict_epoch(epochs[0], 100, on_text=on_text)

    def test_with_no_time_left_the_head_answers(self, stager: Stager, epochs: np.ndarray) -> None:
        found = stager.predict_epoch(epochs[0], 100, deadline_s=0.0)
        assert found.source is AnsweredBy.HEAD
        assert found.finish is Finish.DEADLINE
        assert found.head is not None
        assert found.probabilities == found.head.probabilities

    def test_with_time_enough_a_deadline_changes_nothing_but_the_order(
        self, stager: Stager, epochs: np.ndarray
    ) -> None:
        assert_same(
            [stager.predict_epoch(epochs[0], 100, deadline_s=60.0)],
            [stager.predict_epoch(epochs[0], 100)],
            0.0,
        )

    def test_reasoning_cut_before_its_rule_leaves_the_direct_answer(
        self, stager: Stager, epochs: np.ndarray
    ) -> None:
        direct = stager.predict_epoch(epochs[0], 100, mode="direct")
        pieces: list[str] = []
        found = stager.predict_epoch(
            epochs[0], 100, on_text=pieces.append, cancelled=lambda: len(pieces) > 4, deadline_s=60.0
        )
        assert found.finish is Finish.CANCELLED
        assert found.source is AnsweredBy.DIRECT
        assert found.probabilities == direct.probabilities
        assert found.rationale is None
        assert found.rationale_text.endswith(".")
        assert found.rationale_text.count("\n") == 0

    def test_reasoning_cut_after_its_rule_keeps_the_stage_of_the_rule(
        self, stager: Stager, epochs: np.ndarray
    ) -> None:
        pieces: list[str] = []
        found = stager.predict_epoch(
            epochs[0],
            100,
            on_text=pieces.append,
            cancelled=lambda: any("Excluded" in piece for piece in pieces),
        )
        assert found.finish is Finish.CANCELLED
        assert found.source is AnsweredBy.RULE
        assert found.probabilities == stager.predict_epoch(epochs[0], 100).probabilities
        assert found.rationale is None

    def test_free_text_that_is_no_rationale_leaves_the_direct_answer(
        self, folder: Path, epochs: np.ndarray
    ) -> None:
        free = Stager.load(folder, constrained=False)
        found = free.predict_epoch(epochs[0], 100)
        assert found.rationale is None
        assert found.finish in (Finish.INVALID, Finish.LENGTH)
        assert found.source is AnsweredBy.DIRECT
        assert found.probabilities == free.predict_epoch(epochs[0], 100, mode="direct").probabilities


class TestLoading:
    def test_a_name_is_found_where_the_variable_points(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EEGVLM_RT_MODELS", str(folder.parent))
        assert Stager.load("nano").bundle.path == folder

    def test_the_module_function_keeps_one_stager(
        self, folder: Path, epochs: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EEGVLM_RT_MODELS", str(folder.parent))
        monkeypatch.setattr(stager_module, "_default", None)
        found = predict_epoch(epochs[0], 100)
        kept = stager_module._default
        assert_same([predict_epoch(epochs[0], 100, mode="cot")], [found], 0.0)
        assert stager_module._default is kept is not None

    def test_in_head_mode_the_language_model_is_loaded_when_first_asked(
        self, folder: Path, epochs: np.ndarray
    ) -> None:
        lazy = Stager.load(folder, mode="head")
        assert lazy.predict_epoch(epochs[0], 100).source is AnsweredBy.HEAD
        assert lazy.predict_epoch(epochs[0], 100, mode="cot").source is AnsweredBy.RULE

    def test_staging_imports_nothing_heavy(self, folder: Path) -> None:
        program = (
            "import sys, numpy as np\n"
            "from eegvlm_rt import Stager\n"
            "x = 40 * np.random.default_rng(0).standard_normal(3000)\n"
            "print(Stager.load(sys.argv[1]).predict_epoch(x, 100).stage is not None)\n"
            "heavy = {'torch', 'transformers', 'onnx', 'mne', 'matplotlib', 'edfio'}\n"
            "print(sorted(heavy & set(sys.modules)))\n"
        )
        found = subprocess.run(
            [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True
        )
        assert found.stdout.split("\n")[:2] == ["True", "[]"]

    def test_the_number_of_threads_is_known(self, stager: Stager, folder: Path) -> None:
        assert stager.threads == 2
        assert 1 <= Stager.load(folder).threads <= 4


class TestOnnxRuntimeOfTheUser:
    def test_its_options_and_providers_are_used(self, folder: Path, epochs: np.ndarray) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        own = Stager.load(
            folder, providers=[("CPUExecutionProvider", {})], session_options=options, mode="direct"
        )
        sessions = [own._pipeline._load_tower()._session, own._pipeline.load_decoder()._lm._session]
        for session in sessions:
            assert session.get_session_options().intra_op_num_threads == 2
            assert session.get_providers() == ["CPUExecutionProvider"]
        usual = Stager.load(folder, mode="direct")
        np.testing.assert_allclose(
            own.predict_epoch(epochs[0], 100).proba, usual.predict_epoch(epochs[0], 100).proba, atol=1e-4
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"providers": ["NoSuchProvider"]}, "providers: NoSuchProvider; this ONNX Runtime has"),
            ({"providers": []}, "providers: "),
            ({"providers": "CPUExecutionProvider"}, "providers: CPUExecutionProvider; give a list"),
            ({"providers": [("CPUExecutionProvider",)]}, "providers: "),
            ({"session_options": {"threads": 2}}, "session_options: dict; give an onnxruntime"),
        ],
    )
    def test_what_onnx_runtime_does_not_have_is_refused(
        self, folder: Path, arguments: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            Stager.load(folder, **arguments)
