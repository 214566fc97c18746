"""The report of a night: one file that needs nothing else and says everything."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from edfio import Edf, EdfAnnotation, EdfSignal
from edfio import Recording as EdfHeader

from eegvlm_rt.errors import InputError, OutputError, RecordingError
from eegvlm_rt.files.seal import is_ours
from eegvlm_rt.hypnogram import DEFINITIONS, NOT_ASSESSED, Hypnogram, write_edf
from eegvlm_rt.hypnogram.night_rows import night_probabilities, night_stage
from eegvlm_rt.journal import Journal
from eegvlm_rt.night import Night
from eegvlm_rt.night.inputs import night_of, read_results
from eegvlm_rt.report import report_html, review_of, write_report
from eegvlm_rt.report import write as report_write
from eegvlm_rt.report.charts import ticks_of
from eegvlm_rt.report.choose import choose_epochs
from eegvlm_rt.stages import STAGES, Stage

from .nights import CHANNEL, START, few_predictions, night_of_hours


class Text(HTMLParser):
    """What a reader sees of a page without its style and script."""

    VOID = ("meta", "br", "link", "img", "input", "hr")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())


@pytest.fixture(scope="module")
def page() -> str:
    return report_html(night_of_hours(5, gap=(200, 230)))


@pytest.fixture(scope="module")
def text(page: str) -> str:
    return Text(page).text


class TestContents:
    def test_every_tag_is_closed(self, page):
        assert Text(page).open == []

    def test_what_was_staged_with_which_model_and_options(self, text):
        for shown in (
            "night.edf EEG Fpz-Cz",
            "01 March 2024, 22:47:30 to 03:47:30",
            "nano, mode cot",
            "0123456789abcdef" * 4,
            "smooth causal",
            "Not a medical device.",
            "100 Hz",
        ):
            assert shown in text

    def test_every_statistic_that_is_shown_has_its_definition(self, text):
        assert sum(definition in text for definition in DEFINITIONS.values()) >= 15
        for name in NOT_ASSESSED:
            assert f"{name} : not assessed" in text or f"{name}: not assessed" in text

    def test_unscored_time_and_unknown_lights_are_said(self, text):
        assert "Unscored" in text
        assert "15 min" in text
        assert "off 22:47:30 (unknown)" in text

    def test_quality_is_shown_by_hour(self, text):
        assert "Signal quality by hour" in text
        assert re.search(r"23:47:30 00:47:30 \D*80 of 120|90 of 120", text)
        assert "gap 30" in text

    def test_chosen_epochs_have_trace_reason_and_verdicts(self, page, text):
        cards = page.split('<article class="card"')[1:]
        assert len(cards) == 12
        for card in cards:
            assert card.count('class="eeg"') == 3
            assert "µV" in card
            assert "Background:" in card
            assert "holds" in card or "contradicted" in card
            assert re.search(r"(doubt|contradiction|transition):", card)
        assert "30 s" in text

    def test_events_that_were_measured_are_marked(self):
        spindles = next(p for p in few_predictions() if p.findings.spindle_spans)
        night = night_of_hours(0.1)
        marked = replace(spindles, index=0, start_s=0.0)
        page = report_html(Night([marked], night.info, recording=night.recording))
        card = page.split('<article class="card"')[1]
        assert f"spindle: {len(spindles.findings.spindle_spans)}" in card
        onset_s, duration_s = spindles.findings.spindle_spans[0]
        part = card.split('class="eeg"')[1 + int(onset_s // 10)]
        width = min(duration_s, 10 - onset_s % 10)
        assert f'x="{600 * (onset_s % 10):.1f}" width="{600 * width:.1f}"' in part

    def test_probabilities_and_hypnogram_cover_the_night(self, page):
        panels = re.findall(r'<svg class="night" viewBox="([^"]*)"', page)
        assert panels == ["0 0 600 100"] * 3

    def test_text_from_a_file_is_no_markup(self):
        night = night_of_hours(0.1, signal=False)
        night.info = replace(night.info, source="<script>alert(1)</script>.edf", channel='"><b>x')
        page = report_html(night)
        assert "<script>alert" not in page
        assert "<b>x" not in page
        assert "&lt;script&gt;alert(1)" in page


class TestTimeAxis:
    @pytest.mark.parametrize(
        ("start", "epochs", "labels"),
        [
            ("22:30:00", 960, "23:00 00:00 01:00 02:00 03:00 04:00 05:00 06:00"),
            ("02:17:30", 180, "02:30 02:40 02:50 03:00 03:10 03:20 03:30 03:40"),
            ("16:13:00", 10, "16:13 16:14 16:15 16:16 16:17 16:18"),
            ("22:30:07", 3, "22:30:30 22:31:00 22:31:30"),
        ],
    )
    def test_labels_stand_on_round_times_without_a_hole(self, start, epochs, labels):
        begin = datetime.fromisoformat(f"2026-01-01 {start}")
        ticks = ticks_of(Hypnogram((Stage.N2,) * epochs, begin))
        assert [tick["text"] for tick in ticks] == labels.split()
        assert len({round(b["epoch"] - a["epoch"], 3) for a, b in pairwise(ticks)}) == 1


class TestAlone:
    def test_nothing_refers_to_a_network_or_another_file(self, page):
        bare = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]*", "", page)
        assert not re.search(r"https?:|//[a-z]|@import|url\(|src=", bare)
        for tag, attributes in Text(page).tags:
            assert tag not in ("link", "iframe", "object", "embed", "base", "form")
            for name in ("href", "src", "xlink:href", "action"):
                value = attributes.get(name)
                assert value is None or value.startswith(("data:", "#"))

    def test_a_night_of_8_hours_takes_at_most_2_megabytes(self, tmp_path):
        path = night_of_hours(8).report(tmp_path / "night.html")
        assert 50_000 < path.stat().st_size <= 2_000_000

    def test_without_a_script_everything_is_there(self, page, text):
        bare = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
        assert Text(bare).text == text
        assert 'class="zoom" role="group" aria-label="Zoom into the night" hidden' in page

    def test_the_same_night_gives_the_same_report(self, page):
        assert report_html(night_of_hours(5, gap=(200, 230))) == page

    def test_every_picture_has_a_text(self, page):
        pictures = [attributes for tag, attributes in Text(page).tags if tag == "svg"]
        assert len(pictures) == 3 + 12 * 3
        assert all(
            attributes.get("role") == "img" and attributes.get("aria-label") for attributes in pictures
        )


class TestBanners:
    def test_below_4_hours_the_page_says_so(self):
        assert "Short recording: 1.0 h." in Text(report_html(night_of_hours(1, signal=False))).text

    def test_from_4_hours_on_it_does_not(self, text):
        assert "Short recording" not in text

    def test_a_night_that_was_interrupted_says_so(self):
        night = night_of_hours(1, signal=False)
        part = Night(iter(night.predictions), night.info, expected=500).run()
        assert "Not complete." in Text(report_html(part)).text

    def test_without_the_signal_the_page_says_what_is_left_out(self):
        page = Text(report_html(night_of_hours(4, signal=False))).text
        assert "There is no spectrogram: the signal was not at hand." in page
        assert "there are no traces" in page


class TestReview:
    def test_a_draft_says_so(self, text):
        assert "Draft. No person has reviewed these stages." in text
        assert "the draft of a model" not in text

    def test_the_draft_of_a_model_is_named_whoever_reviewed_its_stages(self):
        night = night_of_hours(0.1, signal=False)
        night.info = replace(night.info, model_id="tiny-draft")
        scored = Hypnogram(night.hypnogram.stages, night.start)
        review = review_of(night, scored, reviewer="A. B.")
        assert review.hypnogram.draft == "tiny-draft"
        for page in (report_html(night), report_html(night, review=review)):
            assert "Staged by tiny-draft, the draft of a model: not for use." in Text(page).text

    def test_a_persons_stages_count_and_are_marked(self, tmp_path):
        night = night_of_hours(5, signal=False)
        stages = list(night.hypnogram.stages)
        for i in range(10, 14):
            stages[i] = Stage.R if stages[i] is not Stage.R else Stage.W
        path = write_edf(Hypnogram(tuple(stages), night.start), tmp_path / "scored.edf")
        review = review_of(night, path, reviewer="A. Scorer")
        assert review.changed == (10, 11, 12, 13)
        assert review.complete
        text = Text(night.report(tmp_path / "r.html", review=path, reviewer="A. Scorer").read_text()).text
        assert "Reviewed by A. Scorer: 600 of 600 epochs looked at, 4 changed." in text
        assert "changed by the reviewer" in text

    def test_a_part_that_was_scored_leaves_the_rest_a_draft(self, tmp_path):
        night = night_of_hours(1, signal=False)
        marks = [EdfAnnotation(30.0 * i, 30.0, "Sleep stage N3") for i in range(20, 30)]
        Edf([], recording=EdfHeader(startdate=START.date()), starttime=START.time(), annotations=marks).write(
            tmp_path / "part.edf"
        )
        review = review_of(night, tmp_path / "part.edf")
        assert review.reviewed == tuple(range(20, 30))
        assert not review.complete
        assert review.hypnogram.stages[20:30] == (Stage.N3,) * 10
        assert review.hypnogram.stages[:20] == night.hypnogram.stages[:20]
        text = Text(report_html(night, review=review)).text
        assert "Partly reviewed by not named: 10 of 120 epochs looked at" in text

    def test_stages_of_another_night_are_refused(self):
        night = night_of_hours(1, signal=False)
        other = Hypnogram((Stage.W,) * 10, START + timedelta(days=2))
        with pytest.raises(InputError, match="no epoch in common"):
            review_of(night, other)


class TestChosen:
    def test_at_most_so_many_in_order_of_time_each_with_its_reasons(self):
        predictions = night_of_hours(2, signal=False).predictions
        choices = choose_epochs(predictions, 9)
        indices = [c.prediction.index for c in choices]
        assert len(indices) == 9
        assert indices == sorted(set(indices))
        assert all(c.why for c in choices)

    def test_the_first_sleep_and_the_first_r_are_among_them(self):
        predictions = night_of_hours(2, signal=False).predictions
        asleep = next(p for p in predictions if night_stage(p) not in (None, Stage.W))
        chosen = {c.prediction.index: c.why for c in choose_epochs(predictions, 6)}
        assert any("sleep onset" in text for text in chosen[asleep.index])

    def test_doubt_is_the_least_sure_first(self):
        predictions = list(few_predictions())
        least = min(
            (p for p in predictions if night_stage(p) is not None),
            key=lambda p: max(night_probabilities(p).values()),
        )
        assert least.index in {c.prediction.index for c in choose_epochs(predictions, 6)}

    def test_epochs_that_were_not_scored_are_not_chosen(self):
        night = night_of_hours(1, gap=(0, 120))
        assert choose_epochs(night.predictions) == []
        assert "Epochs to look at first" not in Text(report_html(night)).text

    def test_none_are_shown_where_none_are_asked_for(self):
        assert "article" not in [t for t, _ in Text(report_html(night_of_hours(1), epochs=0)).tags]


class TestMadeOf:
    def test_a_journal_with_its_recording_beside_it(self, tmp_path):
        night = night_of_hours(0.5)
        with Journal.create(
            tmp_path / "j", {"source": "lsl:Amp", "channel": CHANNEL, "bundle": "nano"}
        ) as journal:
            journal.append("clock", {"grid_start_device_s": 0.0, "grid_start_wall_s": 1.7e9})
            for p in night.predictions:
                journal.append("prediction", p.to_dict())
        again = night_of(tmp_path / "j")
        bare = Text(report_html(again)).text
        assert "lsl:Amp" in bare
        assert "there are no traces" in bare
        again.info = replace(again.info, start=START)
        before = np.zeros(6000, dtype=np.float32)
        longer = np.concatenate((before, night.recording.samples_uv))
        late = replace(night.recording, samples_uv=longer, start=START - timedelta(seconds=60))
        page = report_html(again, signal=late)
        assert page.count('class="eeg"') == 3 * page.count("<article")

    def test_a_folder_of_results(self, tmp_path):
        night = night_of_hours(0.5, signal=False)
        night.write(tmp_path)
        again = read_results(tmp_path)
        assert again.table().tobytes() == night.table().tobytes()
        assert (again.info.source, again.info.model_digest) == ("night.edf", night.info.model_digest)
        assert Text(report_html(again)).text.count("Background:") == 12

    @pytest.mark.parametrize(("seconds", "is_its_own"), [(1800, True), (2400, False)])
    def test_the_recording_in_a_folder_of_results_is_shown_where_they_are_of_all_of_it(
        self, tmp_path, seconds, is_its_own
    ):
        """Results of a part of a recording, as of a cropped Raw, would stand beside another signal."""
        x = 20 * np.random.default_rng(0).standard_normal(100 * seconds)
        Edf([EdfSignal(x, 100, label=CHANNEL, physical_dimension="uV")]).write(tmp_path / "night.edf")
        night_of_hours(0.5, signal=False).write(tmp_path)
        assert (read_results(tmp_path).recording is not None) == is_its_own

    @pytest.mark.parametrize(
        "content", [None, "", "{}", "[1]", '{"format": "eegvlm-rt predictions", "version": 1}']
    )
    def test_what_is_no_result_is_refused(self, tmp_path, content):
        if content is not None:
            (tmp_path / "predictions.json").write_text(content)
        with pytest.raises(RecordingError, match=r"predictions"):
            night_of(tmp_path)

    def test_a_signal_of_another_night_is_refused(self):
        night = night_of_hours(0.5)
        other = replace(night.recording, start=START + timedelta(days=1))
        with pytest.raises(InputError, match="give the recording it was staged from"):
            report_html(night, signal=other)

    def test_an_empty_night_another_suffix_and_too_many_epochs_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="at least one epoch"):
            report_html(Night())
        with pytest.raises(InputError, match=r"\.html or \.pdf"):
            write_report(night_of_hours(0.1), tmp_path / "r.docx")
        with pytest.raises(InputError, match="0 to 60"):
            report_html(night_of_hours(0.1), epochs=61)

    def test_a_package_that_is_missing_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setattr(report_write, "find_spec", lambda name: None if name == "weasyprint" else name)
        with pytest.raises(InputError, match="pip install weasyprint"):
            night_of_hours(0.1).report(tmp_path / "r.pdf")

    def test_every_epoch_may_be_a_gap(self):
        night = night_of_hours(1, gap=(0, 120))
        text = Text(report_html(night)).text
        assert "0 of 120" in text
        assert np.isnan(night.proba).all()

    def test_a_pdf_is_written_without_a_browser(self, tmp_path):
        path = night_of_hours(0.1).report(tmp_path / "night.pdf", epochs=1)
        data = path.read_bytes()
        assert data.startswith(b"%PDF-")
        assert len(data) > 10_000
        assert is_ours(path)
        path.write_bytes(data.replace(b"%PDF-1", b"%PDF-2"))
        with pytest.raises(OutputError, match="overwrite=True"):
            night_of_hours(0.1).report(path)


def test_stages_have_their_colors_in_the_legend(page):
    for stage in STAGES:
        assert f'class="chip s-{stage.name}"' in page
