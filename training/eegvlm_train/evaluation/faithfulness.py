"""How far the claims of rationales hold against the same quantities measured from the signal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from eegvlm_rt.findings import Findings
from eegvlm_rt.rationale import Verdict, check

from .answers import Reasons

__all__ = ["faithfulness"]


def _share(flags: list[bool]) -> float | None:
    return float(np.mean(flags)) if flags else None


def faithfulness(reasons: Reasons, findings: Sequence[Findings]) -> dict[str, Any]:
    """Shares over rationales and over their measurable claims, beside the findings of the same n epochs.

    `parsed`: valid texts; `stated_is_predicted`: the conclusion is the most probable stage at the rule;
    `consistent`: rule, exclusions and conclusion agree; `supported` and `strict`: claims within tolerance,
    and exactly as measured; `all_supported`: texts without a contradicted claim; `by_kind`: [supported,
    strict, claims] of each kind of claim.
    """
    parsed, stated, consistent, whole = [], [], [], []
    kinds: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for decoded, measured, predicted in zip(reasons.decoded, findings, reasons.answers.stages, strict=True):
        rationale = decoded.rationale
        parsed.append(rationale is not None)
        if rationale is None:
            continue
        stated.append(int(rationale.stage) == int(predicted))
        consistent.append(rationale.consistent)
        checks = check(rationale, measured)
        whole.append(all(one.verdict is Verdict.SUPPORTED for one in checks))
        for one in checks:
            supported, strict = one.verdict is Verdict.SUPPORTED, one.strict is Verdict.SUPPORTED
            kinds[one.claim.kind].append((supported, strict))
    claims = [flags for rows in kinds.values() for flags in rows]
    return {
        "texts": len(parsed),
        "parsed": _share(parsed),
        "stated_is_predicted": _share(stated),
        "consistent": _share(consistent),
        "claims": len(claims),
        "supported": _share([tolerant for tolerant, _ in claims]),
        "strict": _share([strict for _, strict in claims]),
        "all_supported": _share(whole),
        "mean_tokens": float(np.mean([decoded.tokens for decoded in reasons.decoded])),
        "by_kind": {
            kind: [_share([a for a, _ in rows]), _share([b for _, b in rows]), len(rows)]
            for kind, rows in sorted(kinds.items())
        },
    }
