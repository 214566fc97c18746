"""Findings of every epoch as columns, measured once and kept beside each night."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.findings import Findings, Rhythm, measure_batch

from .night_files import in_order, save_npz

__all__ = ["HALVES", "RHYTHMS", "FindingsTable", "findings_path", "main", "measure_night"]

HALVES = 60
"""Half seconds of an epoch."""

RHYTHMS: tuple[Rhythm, ...] = tuple(Rhythm)


@dataclass(frozen=True, slots=True)
class FindingsTable:
    """Columns of n epochs. `rhythm` indexes `RHYTHMS`; shares are 0..1; `amplitude_uv` is peak to peak in µV;
    `relative_powers` is (n, 4); `event_ranges` is (n, 4): clear and possible spindles, clear and possible
    K-complexes; `event_halves` is (n, 2): for spindles and K-complexes, one bit for each half second that one
    covers. Alternatives are not kept.
    """

    rhythm: NDArray[np.int8]
    alpha_share: NDArray[np.float32]
    spindles: NDArray[np.int16]
    k_complexes: NDArray[np.int16]
    slow_wave_share: NDArray[np.float32]
    amplitude_uv: NDArray[np.float32]
    relative_powers: NDArray[np.float32]
    event_ranges: NDArray[np.int16]
    deflection_share: NDArray[np.float32]
    muscle_share: NDArray[np.float32]
    arousals: NDArray[np.int16]
    early_events: NDArray[np.int16]
    event_halves: NDArray[np.uint64]

    @classmethod
    def from_findings(cls, rows: Sequence[Findings]) -> FindingsTable:
        return cls(
            rhythm=np.array([RHYTHMS.index(row.rhythm) for row in rows], dtype=np.int8),
            alpha_share=np.array([row.alpha_share for row in rows], dtype=np.float32),
            spindles=np.array([row.spindles for row in rows], dtype=np.int16),
            k_complexes=np.array([row.k_complexes for row in rows], dtype=np.int16),
            slow_wave_share=np.array([row.slow_wave_share for row in rows], dtype=np.float32),
            amplitude_uv=np.array([row.amplitude_uv for row in rows], dtype=np.float32),
            relative_powers=np.array([row.relative_powers for row in rows], dtype=np.float32).reshape(-1, 4),
            event_ranges=np.array(
                [
                    (
                        row.clear_spindles,
                        row.possible_spindles,
                        row.clear_k_complexes,
                        row.possible_k_complexes,
                    )
                    for row in rows
                ],
                dtype=np.int16,
            ).reshape(-1, 4),
            deflection_share=np.array([row.deflection_share for row in rows], dtype=np.float32),
            muscle_share=np.array([row.muscle_share for row in rows], dtype=np.float32),
            arousals=np.array([row.arousals for row in rows], dtype=np.int16),
            early_events=np.array([row.early_events for row in rows], dtype=np.int16),
            event_halves=np.array(
                [(halves(row.spindle_spans), halves(row.k_complex_spans)) for row in rows], dtype=np.uint64
            ).reshape(-1, 2),
        )

    @classmethod
    def concatenate(cls, tables: Sequence[FindingsTable]) -> FindingsTable:
        return cls(*(np.concatenate([getattr(table, f.name) for table in tables]) for f in fields(cls)))

    def columns(self) -> dict[str, NDArray[np.generic]]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def row(self, index: int) -> Findings:
        """One epoch's findings, as far as they are kept."""
        delta, theta, alpha, beta = (float(share) for share in self.relative_powers[index])
        spindle_low, spindle_high, complex_low, complex_high = (int(n) for n in self.event_ranges[index])
        return Findings(
            rhythm=RHYTHMS[int(self.rhythm[index])],
            alpha_share=float(self.alpha_share[index]),
            spindles=int(self.spindles[index]),
            k_complexes=int(self.k_complexes[index]),
            slow_wave_share=float(self.slow_wave_share[index]),
            amplitude_uv=float(self.amplitude_uv[index]),
            relative_powers=(delta, theta, alpha, beta),
            spindle_range=(spindle_low, spindle_high),
            k_complex_range=(complex_low, complex_high),
            deflection_share=float(self.deflection_share[index]),
            muscle_share=float(self.muscle_share[index]),
            arousals=int(self.arousals[index]),
            early_events=int(self.early_events[index]),
        )


def halves(spans: Iterable[tuple[float, float]]) -> int:
    """The half seconds of an epoch that (onset_s, duration_s) cover, as bits, the first half second
    lowest."""
    covered = 0
    for onset_s, duration_s in spans:
        first, last = int(2.0 * onset_s), min(HALVES - 1, int(2.0 * (onset_s + duration_s)))
        covered |= (1 << (last + 1)) - (1 << first)
    return covered


def findings_path(night: Path) -> Path:
    return night.with_suffix(".findings.npz")


def is_measured(night: Path) -> bool:
    """Whether a night has a sidecar with every column of today."""
    if not findings_path(night).exists():
        return False
    with np.load(findings_path(night)) as file:
        return {field.name for field in fields(FindingsTable)} <= set(file.files)


def read_findings(night: Path) -> FindingsTable:
    with np.load(findings_path(night)) as file:
        return FindingsTable(**{field.name: file[field.name] for field in fields(FindingsTable)})


def measure_night(night: Path, *, force: bool = False) -> Path:
    """Measure every epoch of one night file and write its sidecar, unless it is there with all columns."""
    target = findings_path(night)
    if not force and is_measured(night):
        return target
    with np.load(night) as file:
        x = file["x"].astype(np.float32) * np.float32(file["uv_per_lsb"])
    save_npz(target, **FindingsTable.from_findings(measure_batch(x)).columns())
    return target


def measure_nights(nights: Iterable[Path], workers: int, *, force: bool = False) -> None:
    work = partial(measure_night, force=force)
    paths = list(nights)
    for done, path in enumerate(in_order(work, paths, workers), start=1):
        print(f"{done}/{len(paths)} {path.name}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    from .nightset import list_nights

    parser = argparse.ArgumentParser(prog="eegvlm_train findings", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--force", action="store_true", help="measure again where a sidecar exists")
    args = parser.parse_args(argv)
    measure_nights(list_nights(args.folder), args.workers, force=args.force)
    return 0
