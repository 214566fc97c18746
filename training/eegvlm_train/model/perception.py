"""Heads that teach the vision networks to perceive; used in training only, never exported."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration import EegVlmConfig
from .modeling import Perception

__all__ = [
    "LOCAL_TARGETS",
    "EnhancementHeads",
    "Opinion",
    "TowerHeads",
    "findings_loss",
    "local_loss",
    "local_targets",
    "soft_cross_entropy",
]

_RHYTHMS, _SPINDLES, _K_COMPLEXES = 5, 4, 3
_SPLIT = (_RHYTHMS, 1, _SPINDLES, _K_COMPLEXES, 1, 1)
_BANDS_HZ = ((0.5, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 12.0), (11.0, 16.0), (16.0, 35.0))
_LOCAL_VALUES = len(_BANDS_HZ) + 1
LOCAL_TARGETS = _LOCAL_VALUES + 2


class Opinion(NamedTuple):
    """What is read off one network: stage logits (n, 5), findings (n, 15) and local values (n, segments, 9),
    with segments of a length of the network's own."""

    stage_logits: Tensor
    findings: Tensor
    local: Tensor


class EnhancementHeads(nn.Module):
    """Findings from the pooled feature, local band powers from the features in time.

    A trace reader's features are in time as they are. Of another network's map, of w columns, R * w segments
    are pooled for a picture of R rows.
    """

    def __init__(self, config: EegVlmConfig, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.findings = nn.Sequential(nn.GELU(), nn.Linear(config.pooled_size, sum(_SPLIT)))
        self.local = nn.Linear(config.enhancement_config.hidden_sizes[-1], LOCAL_TARGETS)

    def forward(self, look: Perception) -> Opinion:
        """What the enhancement module read of n pictures."""
        local = look.local
        if local.ndim == 4:
            local = F.adaptive_avg_pool2d(local, (self.rows, local.shape[3])).flatten(2)
        return Opinion(look.stage_logits, self.findings(look.pooled), self.local(local.transpose(1, 2)))


class TowerHeads(nn.Module):
    """Stage and findings from the mean of the CLIP patches, local band powers from the patches themselves.

    A segment is what one column of patches of one row shows: with A patches across and R rows, R * A segments
    of 30 / (R * A) seconds, each covered by the patches of the row that stand one above the other.
    """

    def __init__(self, config: EegVlmConfig, rows: int) -> None:
        super().__init__()
        size = config.vision_config.hidden_size
        self.down, self.across = config.patch_grid
        if self.down % rows:
            raise ValueError(f"rows: {rows}; {self.down} patches from top to bottom do not divide by it")
        self.rows = rows
        self.norm = nn.LayerNorm(size)
        self.mean = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.Linear(size, 5 + sum(_SPLIT)))
        self.local_norm = nn.LayerNorm(size)
        self.local = nn.Linear(size * (self.down // rows), LOCAL_TARGETS)

    def forward(self, low: Tensor) -> Opinion:
        """Patches (n, P, Dv)."""
        n, _, size = low.shape
        stage, findings = self.mean(self.norm(low.mean(1))).split((5, sum(_SPLIT)), dim=-1)
        stacked = self.local_norm(low).view(n, self.rows, self.down // self.rows, self.across, size)
        columns = stacked.permute(0, 1, 3, 2, 4).reshape(n, self.rows * self.across, -1)
        return Opinion(stage, findings, self.local(columns))


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of logits (n, k) against probabilities (n, k)."""
    return -(target * logits.float().log_softmax(-1)).sum(-1).mean()


def findings_loss(outputs: Tensor, findings: Tensor, absolute: Tensor) -> Tensor:
    """Loss of findings (n, 15) against measured columns (n, 6).

    Spindles, K-complexes and slow waves are defined by thresholds in µV: they count only where `absolute`
    (n,) says that the signal kept its gain.
    """
    rhythm, alpha, spindles, k_complexes, slow, amplitude = outputs.float().split(_SPLIT, dim=-1)
    mask = absolute.float()
    thresholded = (
        F.cross_entropy(spindles, findings[:, 2].long().clamp(max=_SPINDLES - 1), reduction="none")
        + F.cross_entropy(k_complexes, findings[:, 3].long().clamp(max=_K_COMPLEXES - 1), reduction="none")
        + F.binary_cross_entropy_with_logits(slow[:, 0], findings[:, 4], reduction="none")
    )
    relative = (
        F.cross_entropy(rhythm, findings[:, 0].long())
        + F.binary_cross_entropy_with_logits(alpha[:, 0], findings[:, 1])
        + 4.0 * F.smooth_l1_loss(amplitude[:, 0] + 1.7, findings[:, 5])
    )
    return relative + (thresholded * mask).sum() / mask.sum().clamp(min=1.0)


def local_loss(outputs: Tensor, signal_uv: Tensor, events: Tensor, absolute: Tensor) -> Tensor:
    """Loss of local values (n, segments, 9) against those of the signal (n, T) and its spindles and
    K-complexes, `events` (n, 2, halves), which are defined in µV and count only where `absolute` (n,) says
    that the signal kept its gain."""
    values, opinions = outputs.float().split((_LOCAL_VALUES, 2), dim=-1)
    segments = outputs.shape[1]
    smooth = F.smooth_l1_loss(values, local_targets(signal_uv, segments))
    if segments <= events.shape[2]:
        covered = F.adaptive_max_pool1d(events, segments)
    else:
        covered = F.interpolate(events, segments)
    each = F.binary_cross_entropy_with_logits(opinions, covered.transpose(1, 2), reduction="none")
    unchanged = absolute.float()
    return smooth + (each.mean((1, 2)) * unchanged).sum() / unchanged.sum().clamp(min=1.0)


def local_targets(signal_uv: Tensor, segments: int) -> Tensor:
    """(n, T) µV -> (n, segments, 7): log10 power of six bands (µV^2) and the mean (per 50 µV) of each
    segment."""
    samples = signal_uv.shape[1]
    spectrum = torch.fft.rfft(signal_uv.float())
    hz = torch.fft.rfftfreq(samples, 1.0 / 100.0, device=signal_uv.device)
    gains = torch.stack([((hz >= low) & (hz < high)).float() for low, high in _BANDS_HZ])
    bands = torch.fft.irfft(spectrum[:, None] * gains, n=samples)
    power = F.adaptive_avg_pool1d(bands.square(), segments)
    mean = F.adaptive_avg_pool1d(signal_uv.float()[:, None], segments) / 50.0
    return torch.cat([torch.log10(power + 0.1), mean], dim=1).transpose(1, 2)
