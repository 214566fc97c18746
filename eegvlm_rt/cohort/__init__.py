"""Many nights: from files, folders or a BIDS dataset to a table, in worker processes or on a Ray cluster."""

from __future__ import annotations

from .bids import describe_dataset, find_bids
from .inputs import find_nights, read_list
from .receipt import Receipt, Status, read_receipt, receipts_in
from .run import CohortResult, Plan, finish, plan, score_nights
from .tasks import NightTask, ScoreOptions

__all__ = [
    "CohortResult",
    "NightTask",
    "Plan",
    "Receipt",
    "ScoreOptions",
    "Status",
    "describe_dataset",
    "find_bids",
    "find_nights",
    "finish",
    "plan",
    "read_list",
    "read_receipt",
    "receipts_in",
    "score_nights",
]
