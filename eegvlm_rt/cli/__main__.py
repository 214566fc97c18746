"""`python -m eegvlm_rt.cli`: the same as the `eegvlm-rt` command."""

from __future__ import annotations

from . import main

raise SystemExit(main())
