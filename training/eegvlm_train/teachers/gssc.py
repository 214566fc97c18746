"""Soft labels from GSSC's published networks (Hanna & Floeel 2023): one epoch, and with recurrent context.

GSSC is AGPL-3.0 and its networks are pickles: an offline teacher, installed apart by who labels data;
neither its code nor its weights are part of this package or of a bundle.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample

__all__ = ["GsscTeacher"]

_SAMPLES_PER_EPOCH = 2560
_EPOCH_S = 30
_BAND_HZ = (0.3, 30.0)


@dataclass
class GsscTeacher:
    """Calls on a whole night; `device` is a torch device name."""

    signal_net: Any
    context_net: Any
    device: str

    @classmethod
    def load(cls, device: str | None = None) -> GsscTeacher:
        from importlib.resources import files

        os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
        import torch

        where = device or ("cuda" if torch.cuda.is_available() else "cpu")
        nets = []
        for name in ("sig_net_v1.pt", "gru_net_v1.pt"):
            path = str(files("gssc.nets").joinpath(name))
            net = torch.load(path, map_location=where, weights_only=False)
            nets.append(net.float().to(where).eval())
        return cls(nets[0], nets[1], where)

    def __call__(
        self, samples_uv: NDArray[np.float32], sfreq: float, batch: int = 240
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Stage probabilities (W N1 N2 N3 R) from one epoch and with context, each (n_epochs, 5)."""
        import torch

        epochs = prepare(samples_uv, sfreq)
        single, context = [], []
        hidden = torch.zeros(10, 1, 256, device=self.device)
        with torch.inference_mode():
            for start in range(0, len(epochs), batch):
                x = torch.from_numpy(epochs[start : start + batch, None, :]).to(self.device)
                representation, logits = self.signal_net({"eeg": x}, rep_output=True)
                single.append(logits[..., 0].softmax(-1).cpu().numpy())
                logits, hidden = self.context_net(representation.swapaxes(-1, 1), hidden)
                context.append(logits[:, 0].softmax(-1).cpu().numpy())
        return np.concatenate(single), np.concatenate(context)


def prepare(samples_uv: NDArray[np.float32], sfreq: float) -> NDArray[np.float32]:
    """GSSC's input: 0.3-30 Hz, 2560 samples per 30 s, z-scored over the recording; (n_epochs, 2560).

    The filters are MNE's default FIR design, with which its networks were trained: flat up to 30 Hz, none
    above a rate that holds no more. A Butterworth filter of the same corners costs it 0.06 of kappa.
    """
    from mne.filter import filter_data

    per_epoch = round(_EPOCH_S * sfreq)
    n = len(samples_uv) // per_epoch
    high = _BAND_HZ[1] if sfreq / 2 > _BAND_HZ[1] else None
    filtered = filter_data(
        np.asarray(samples_uv[: n * per_epoch], dtype=np.float64), sfreq, _BAND_HZ[0], high, verbose="ERROR"
    )
    epochs = resample(filtered.reshape(n, per_epoch), _SAMPLES_PER_EPOCH, axis=1)
    return np.asarray((epochs - epochs.mean()) / max(float(epochs.std()), 1e-9), dtype=np.float32)
