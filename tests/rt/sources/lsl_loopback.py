"""LSL on this machine alone: no multicast, no network."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mne_lsl.lsl import StreamInfo, StreamOutlet, set_config_content
    from mne_lsl.player import PlayerLSL

__all__ = ["LSL_CONFIG", "PlayerLSL", "StreamInfo", "StreamOutlet"]

LSL_CONFIG = (
    "[ports]\nIPv6 = disable\n"
    "[multicast]\nResolveScope = machine\n"
    "[lab]\nKnownPeers = {127.0.0.1}\n"
    "[log]\nlevel = -3\n"
)
"""For a file that another process is pointed to by LSLAPICFG."""

set_config_content(LSL_CONFIG)
