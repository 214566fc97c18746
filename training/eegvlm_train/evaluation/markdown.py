"""Tables of the documentation, made from the figures of `eegvlm_train evaluate`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from eegvlm_rt.stages import STAGES

__all__ = ["TABLES", "fill"]

Figures = dict[str, Any]
_MARK = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _n(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _between(interval: list[float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows]) + "\n"


def _agreement_row(name: str, figures: Figures, key: str = "all") -> list[str]:
    row = figures["rows"][key]
    return [
        name,
        str(row["n"]),
        _n(row["accuracy"]),
        _n(row["kappa"]),
        _between(figures["interval"]["kappa"]) if key == "all" else "",
        _n(row["macro_f1"]),
        *(_n(row["f1"][stage.name], 2) for stage in STAGES),
        str(row["invalid"]),
    ]


_AGREEMENT = ["", "n", "acc", "κ", "95 %", "MF1", *(f"F1 {stage.name}" for stage in STAGES), "invalid"]


def _agreement(source: str) -> Callable[[Figures], str]:
    def table(results: Figures) -> str:
        rows = []
        for name, figures in results[source]["modes"].items():
            rows.append(_agreement_row(f"`{name}`", figures))
            for how, one in figures.get("smoothed", {}).items():
                rows.append(_agreement_row(f"`{name}`, {how}", one))
        if source == "real":
            for name, figures in results.get("peers", {}).get("peers", {}).items():
                rows.append(_agreement_row(name, figures))
        return _table(_AGREEMENT, rows)

    return table


def _recordings(results: Figures) -> str:
    modes = results["real"]["modes"]
    names = [name for name in next(iter(modes.values()))["rows"] if name != "all"]
    rows = []
    for name in names:
        row = [name, str(next(iter(modes.values()))["rows"][name]["n"])]
        row += [_n(figures["rows"][name]["kappa"]) for figures in modes.values()]
        row += [
            _n(figures["smoothed"]["causal"]["rows"][name]["kappa"])
            for figures in modes.values()
            if "smoothed" in figures
        ]
        rows.append(row)
    smoothed = [f"κ `{name}`, causal" for name, figures in modes.items() if "smoothed" in figures]
    return _table(["", "n", *(f"κ `{name}`" for name in modes), *smoothed], rows)


def _calibration(results: Figures) -> str:
    rows = []
    for source in ("sim", "real"):
        for name, figures in results.get(source, {}).get("modes", {}).items():
            before, after = figures.get("before_temperature"), figures["calibration"]
            curve = {row["coverage"]: row["accuracy"] for row in figures["coverage"]}
            rows.append(
                [
                    f"{source}, `{name}`",
                    str(figures["rows"]["all"]["n"]),
                    _n(figures.get("temperature"), 2),
                    _n(before and before["ece"]),
                    _n(after["ece"]),
                    _n(after["soft_ece"]),
                    *(_n(curve[share]) for share in (1.0, 0.9, 0.8, 0.5)),
                ]
            )
    head = ["", "n", "T", "ECE at T = 1", "ECE", "soft ECE", *(f"acc at {s} %" for s in (100, 90, 80, 50))]
    return _table(head, rows)


def _claims(figures: Figures) -> str:
    rows = []
    for source in ("real", "sim"):
        faith = figures.get(source, {}).get("faithfulness")
        if not faith:
            continue
        for name, one in faith["claims_as_detectors"]["detections"].items():
            rows.append([f"{source}: {name}", *_pr(one)])
        for name, one in (faith["against_experts"] or {}).items():
            if one:
                rows.append([f"{source}: spindle marks of experts, {name}", *_pr(one)])
    return _table(["claim", "precision", "recall", "claimed", "true", "n"], rows)


def _pr(one: Figures) -> list[str]:
    return [_n(one["precision"]), _n(one["recall"]), str(one["claimed"]), str(one["true"]), str(one["n"])]


def _faithfulness(figures: Figures) -> str:
    names = [name for name in ("real", "sim") if "faithfulness" in figures.get(name, {})]
    faith = [figures[name]["faithfulness"] for name in names]
    rows = [
        [label, *(_n(one[key]) for one in faith)]
        for key, label in (
            ("parsed", "texts that parse"),
            ("consistent", "texts that hold together"),
            ("supported", "claims supported"),
            ("strict", "claims exactly as measured"),
            ("all_supported", "texts without a contradicted claim"),
        )
    ]
    rows += [
        [f"supported: {kind.replace('_', ' ')}", *(_n(one["by_kind"].get(kind, [None])[0]) for one in faith)]
        for kind in sorted({kind for one in faith for kind in one["by_kind"]})
    ]
    for key, label in (
        ("other_supported", "claims that hold for another epoch"),
        ("slots_changed", "claims that another picture changes"),
        ("texts_changed", "texts that another picture changes"),
    ):
        rows.append([label, *(_n(one["variety"].get(key)) for one in faith)])
    rows.append(
        [
            "distinct texts",
            *(f"{one['variety'].get('distinct')} of {one['variety'].get('drawn')}" for one in faith),
        ]
    )
    return _table(
        ["", *(f"{name}, n = {one['texts']}" for name, one in zip(names, faith, strict=True))], rows
    )


def _claim_kinds(figures: Figures) -> str:
    names = [name for name in ("real", "sim") if "faithfulness" in figures.get(name, {})]
    kinds = [figures[name]["faithfulness"]["by_kind"] for name in names]
    rows = [
        [kind.replace("_", " "), *(cell for one in kinds for cell in _kind_cells(one.get(kind)))]
        for kind in sorted({kind for one in kinds for kind in one})
    ]
    head = [f"{name}: {what}" for name in names for what in ("supported", "exact", "claims")]
    return _table(["claim", *head], rows)


def _kind_cells(row: list[float] | None) -> list[str]:
    return ["-", "-", "0"] if row is None else [_n(row[0]), _n(row[1]), str(row[2])]


def _robustness(figures: Figures) -> str:
    by_fault = figures["robustness"]["robustness"]
    rows = [
        [
            row["disturbance"],
            str(row["n"]),
            _n(row["kappa"]),
            _n(row["accuracy"]),
            _n(row["same_stage"]),
            _n(row["flagged"]),
        ]
        for row in by_fault["rows"]
    ]
    return _table([f"`{by_fault['mode']}`", "n", "κ", "acc", "stage kept", "flagged"], rows)


def _outliers(figures: Figures) -> str:
    rows = []
    for source in ("real", "sim", "wake"):
        one = figures.get(source, {}).get("outliers")
        if one:
            rows.append([source, str(one["n"]), _n(one["flagged"], 4)])
    faults: Figures = next(
        (figures[s]["outliers"]["faults"] for s in ("real", "sim") if figures.get(s, {}).get("outliers")), {}
    )
    rows += [[f"made: {name}", "100", _n(share, 2)] for name, share in faults.items()]
    return _table(["", "n", "flagged"], rows)


def _realism(figures: Figures) -> str:
    stages = figures["realism"]["stages"]
    names = list(next(iter(stages.values()))["features"])
    rows = []
    for name in names:
        cells = []
        for one in stages.values():
            feature = one["features"][name]
            middles = ", ".join(_n(feature[side][1], 2) for side in ("simulated", "real"))
            cells.append(f"{_n(feature['distance'], 2)} ({middles})")
        rows.append([name.replace("_", " "), *cells])
    return _table(["", *(f"{name}, n = {one['n'][0]} / {one['n'][1]}" for name, one in stages.items())], rows)


def _ks(one: Figures, digits: int) -> str:
    middles = ", ".join(_n(one[side][1], digits) for side in ("simulated", "real"))
    return f"{_n(one['distance'], 2)} ({middles})"


def _realism_course(figures: Figures) -> str:
    tables = figures["realism-tables"]
    groups = tables["course"]
    names = next(iter(groups.values()))
    rows = [[name, *(_ks(one[name], 2) if name in one else "-" for one in groups.values())] for name in names]
    return _table(["", *(f"people {people}, n = {tables['n'][people]}" for people in groups)], rows)


def _realism_bands(figures: Figures) -> str:
    rows = []
    for derivation, groups in figures["realism-tables"]["spectra"].items():
        for people, stages in groups.items():
            for stage, bands in stages.items():
                rows.append([f"{derivation}, {people}, {stage}", *(_ks(one, 1) for one in bands.values())])
    bands = next(
        iter(next(iter(next(iter(figures["realism-tables"]["spectra"].values())).values())).values())
    )
    return _table(["", *bands], rows)


def _ablation(figures: Figures) -> str:
    rows = []
    for name, row in figures["ablation"]["variants"].items():
        cells = [f"{(row['vision']['pictures'] + row['language']['pictures']) / 1e3:.0f} k"]
        for source in ("sim", "real"):
            figures_row = row.get(source, {})
            for mode in ("head", "direct", "cot"):
                one = figures_row.get(mode)
                cells.append("-" if one is None else _n(one["kappa"]))
            cells.append(_n(figures_row["claims"]["supported"]) if "claims" in figures_row else "-")
        rows.append([f"`{name}`", *cells])
    columns = [
        f"{what}, {source}" for source in ("sim", "real") for what in ("head", "direct", "cot", "claims")
    ]
    return _table(["variant", "pictures", *columns], rows)


def _nights(figures: Figures) -> str:
    """Recordings staged as nights, with the memory and without it; of wake the share that is called W."""
    rows = []
    for one in figures["nights"]:
        whole, wake = one["all"], one["data"] == "wake"
        rows.append(
            [
                f"{'daytime wake' if wake else 'DREAMS 1-4'}, `{one['mode']}`"
                f"{'' if one['gain'] == 1.0 else ', gain x{:g}'.format(one['gain'])}",
                "yes" if one["memory"] else "no",
                str(whole["n"]),
                _n(whole["accuracy"]),
                "-" if wake else _n(whole["kappa"]),
                "-" if wake else _n(whole["macro_f1"]),
                _n(whole["ece"]),
                _percent(one["supported"]) if "supported" in one else "-",
            ]
        )
    head = ["", "memory", "n", "accuracy", "κ", "macro F1", "ECE", "claims supported"]
    return _table(head, rows)


def _goals(figures: Figures) -> str:
    nights = {
        (one["data"], one["mode"], one["memory"]): one for one in figures["nights"] if one["gain"] == 1.0
    }
    modes = ("head", "direct", "cot")
    dreams = {mode: nights["real", mode, True] for mode in modes}
    wake = nights["wake", "head", True]["all"]
    n = str(dreams["head"]["all"]["n"])
    faith = {name: figures[name]["faithfulness"] for name in ("real", "sim")}

    def each(what: str) -> str:
        return " / ".join(_n(dreams[mode]["all"][what]) for mode in modes)

    lost = dreams["direct"]["all"]["kappa"] - dreams["cot"]["all"]["kappa"]
    night = dreams["cot"]
    rows = [
        [
            "with the memory, DREAMS 1-4, κ of `head` / `direct` / `cot`",
            ">= 0.64",
            ">= 0.70",
            each("kappa"),
            n,
        ],
        ["κ lost from `direct` to `cot`", "<= 0.01", "0", _n(lost), n],
        ["ECE with the memory, `head` / `direct` / `cot`", "<= 0.05", "<= 0.03", each("ece"), n],
        [
            "25 h of daytime wake called W, `head`",
            ">= 95 %",
            ">= 98 %",
            _percent(wake["accuracy"]),
            str(wake["n"]),
        ],
        [
            "claims supported, DREAMS 1-4 as nights",
            ">= 95 %",
            ">= 98 %",
            _percent(night["supported"]),
            str(sum(night["claims"].values())),
        ],
        *(
            [
                f"claims supported, {name}, one epoch",
                ">= 95 %",
                ">= 98 %",
                _percent(one["supported"]),
                str(one["claims"]),
            ]
            for name, one in faith.items()
        ),
    ]
    return _table(["", "at least", "aim", "reached", "n"], rows)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


TABLES: dict[str, Callable[[Figures], str]] = {
    "agreement-real": _agreement("real"),
    "agreement-sim": _agreement("sim"),
    "agreement-wake": _agreement("wake"),
    "recordings": _recordings,
    "calibration": _calibration,
    "faithfulness": _faithfulness,
    "claims": _claims,
    "robustness": _robustness,
    "outliers": _outliers,
    "realism": _realism,
    "realism-course": _realism_course,
    "realism-bands": _realism_bands,
    "ablation": _ablation,
    "goals": _goals,
    "nights": _nights,
    "claim-kinds": _claim_kinds,
}
"""Each table by the name of its mark."""


def fill(text: str, figures: Figures) -> str:
    """The document with the tables between its marks made anew; a table whose figures are missing stays.

    Raises ValueError for a mark that names no table.
    """

    def one(match: re.Match[str]) -> str:
        name = match.group(2)
        if name not in TABLES:
            raise ValueError(f"table mark {name!r}: there are {', '.join(TABLES)}")
        try:
            table = TABLES[name](figures)
        except KeyError:
            return match.group(0)
        return match.group(1) + table + match.group(3)

    return _MARK.sub(one, text)
