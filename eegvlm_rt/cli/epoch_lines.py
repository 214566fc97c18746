"""What one epoch looks like in a terminal: its row, and its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from ..hypnogram.night_rows import night_probabilities, night_stage
from ..hypnogram.palette import TERMINAL_COLORS
from ..prediction import Outcome
from ..signal.quality import mostly_missing
from ..stages import STAGES
from .console import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ..prediction import StagePrediction
    from ..rationale.check import ClaimCheck

__all__ = [
    "because",
    "clock",
    "has_signal",
    "header",
    "night_remark",
    "percent",
    "pick_few",
    "reason",
    "row",
    "verdict",
]

_UNANSWERED = {
    Outcome.GAP: "gap: not one sample came",
    Outcome.LATE: "late: no stage within the deadline",
    Outcome.FAILED: "failed",
}
_CLAIMS = {
    "rhythm": ("rhythm", ""),
    "alpha_pct": ("alpha", " %"),
    "spindles": ("spindles", ""),
    "k_complexes": ("K-complexes", ""),
    "slow_wave_pct": ("slow waves", " %"),
    "amplitude_uv": ("amplitude", " µV"),
}


def clock(start: datetime | None, start_s: float) -> str:
    """hh:mm:ss of the day, or since the recording's start where that is unknown."""
    seconds = round(start_s)
    if start is not None:
        seconds += start.hour * 3600 + start.minute * 60 + start.second
        seconds %= 86400
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def has_signal(prediction: StagePrediction) -> bool:
    """Whether so much of the signal came that the model's opinion of it is worth showing."""
    return prediction.stage is not None and not mostly_missing(prediction.quality)


def percent(share: float) -> str:
    """A share 0..1 as whole percent, "97"; one that rounds to nothing is a dot."""
    return f"{100 * share:.0f}" if share >= 0.005 else "·"


def header(width: int) -> Text:
    """The line above the rows."""
    names = "".join(f"{stage.name:>4}" for stage in STAGES)
    return Text(_fit(f"epoch  time      st{names}  head  claim  because", width), style="bold", no_wrap=True)


def row(prediction: StagePrediction, start: datetime | None, width: int) -> Text:
    """One line: epoch (from 1), time, stage, probabilities in percent, the head's stage, claims held, why."""
    stage, probabilities = night_stage(prediction), night_probabilities(prediction)
    style = TERMINAL_COLORS[stage]
    line = Text(no_wrap=True)
    line.append(f"{prediction.index + 1:>5}  ", style="dim")
    line.append(f"{clock(start, prediction.start_s)}  ")
    line.append(f"{'?' if stage is None else stage.name:<2}", style=f"bold {style}")
    has_eeg = has_signal(prediction)
    for column in STAGES:
        look = f"bold {style}" if column is stage else "dim"
        line.append(f"{percent(probabilities[column]) if has_eeg else '-':>4}", style=look)
    head = "-" if prediction.head is None or not has_eeg else prediction.head.stage.name
    line.append(f"  {head:<4}", style="dim" if prediction.agrees else "yellow")
    supported, claims = _support(prediction)
    line.append(
        f"  {f'{supported}/{claims}' if claims else '-':>5}  ",
        style="yellow" if supported < claims else "dim",
    )
    line.append(_fit(because(prediction), width - line.cell_len))
    return line


def because(prediction: StagePrediction) -> str:
    """The conclusion of the reason in a few words, or what was measured where there is no reason."""
    parts = []
    if prediction.outcome in _UNANSWERED:
        return _UNANSWERED[prediction.outcome] + (f": {plain(prediction.error)}" if prediction.error else "")
    if prediction.outcome is Outcome.UNSCORABLE and prediction.quality.scorable:
        return "cannot be scored: unlike any sleep recording"
    if not prediction.quality.scorable:
        flags = ", ".join(sorted(prediction.quality.flags))
        return f"cannot be scored: {flags or 'disturbed'}"
    if prediction.rationale is not None:
        rule = prediction.rationale.rule
        parts.append(f"{rule.id} {rule.phrase}")
        if prediction.rationale.stage is not night_stage(prediction):
            parts.insert(0, f"text says {prediction.rationale.stage.name}")
    else:
        findings = prediction.findings
        parts.append(
            f"{findings.rhythm}, spindles {findings.spindles}, "
            f"slow waves {100 * findings.slow_wave_share:.0f} %, {findings.amplitude_uv:.0f} µV"
        )
    return "; ".join(parts)


def reason(prediction: StagePrediction, start: datetime | None, width: int) -> list[Text]:
    """The full reason of one epoch, and what of it the signal contradicts; at most `width` columns wide."""
    stage = night_stage(prediction)
    style = TERMINAL_COLORS[stage]
    shown = "not scored"
    if stage is not None:
        shown = f"{stage.name} {percent(night_probabilities(prediction)[stage])} %"
    title = Text.assemble(
        ("▌ ", style),
        (shown, f"bold {style}"),
        (f"   epoch {prediction.index + 1}, {clock(start, prediction.start_s)}", "bold"),
    )
    if prediction.head is not None and has_signal(prediction):
        head = prediction.head
        title.append(f"   head: {head.stage.name} {percent(head.probabilities[head.stage])} %", style="dim")
    text = prediction.rationale_text.strip()
    if stage is None and text:
        text = f"{because(prediction).capitalize()}. What the model wrote:\n{text}"
    lines = [Text(plain(line)) for line in (text or f"Measured: {because(prediction)}.").splitlines()]
    if text and prediction.rationale is None:
        lines.append(
            Text(f"The text is not whole ({prediction.finish}): its claims were not checked.", "yellow")
        )
    lines.extend(verdict(prediction))
    lines.extend(night_remark(prediction))
    bar = Text("▌   ", style=style)
    return [title, *(bar + part for line in lines for part in _wrap(line, max(20, width - 4)))]


def night_remark(prediction: StagePrediction) -> list[Text]:
    """What is to be said where the night, by its memory or smoothing, has another stage than the reason."""
    stage = night_stage(prediction)
    if stage is None or prediction.rationale is None or prediction.rationale.stage is stage:
        return []
    alone = prediction.rationale.stage.name
    return [Text(f"The night says {stage.name}; the reason is that of this epoch alone, {alone}.", "yellow")]


def pick_few(predictions: Sequence[StagePrediction]) -> list[StagePrediction]:
    """The surest and the least sure scored epoch of each stage, in order of time."""
    picked: dict[int, StagePrediction] = {}
    for stage in STAGES:
        own = [(night_probabilities(p)[stage], -p.index, p) for p in predictions if night_stage(p) is stage]
        if own:
            for _, _, extreme in (max(own, key=lambda item: item[:2]), min(own, key=lambda item: item[:2])):
                picked[extreme.index] = extreme
    return [picked[index] for index in sorted(picked)]


def verdict(prediction: StagePrediction) -> list[Text]:
    supported, claims = _support(prediction)
    if not claims:
        return []
    if supported == claims:
        return [Text(f"Checked against the signal: all {claims} claims hold.", style="green")]
    wrong = "; ".join(_contradiction(check) for check in prediction.checks if check.verdict != "supported")
    text = f"Checked against the signal: {supported} of {claims} claims hold; not {wrong}."
    return [Text(text, style="yellow")]


def _contradiction(check: ClaimCheck) -> str:
    name, unit = _CLAIMS.get(check.claim.kind, (check.claim.kind, ""))
    if check.claim.kind in _CLAIMS:
        return f"{name} {check.claim.value}{unit}, measured {check.measured}{unit}"
    return f"{name} {check.claim.value} (measured: {check.measured})"


def _support(prediction: StagePrediction) -> tuple[int, int]:
    return sum(check.verdict == "supported" for check in prediction.checks), len(prediction.checks)


def _wrap(line: Text, width: int) -> list[Text]:
    words = line.plain.split(" ")
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("  " + word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return [Text(part, style=line.style, no_wrap=True) for part in lines]


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(1, width - 1)] + "…"
