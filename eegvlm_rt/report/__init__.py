"""The report of a night as one self-contained HTML file, or as a PDF: for a person who reviews it."""

from __future__ import annotations

from .review import Review, review_of
from .write import check_output, report_html, write_report

__all__ = ["Review", "check_output", "report_html", "review_of", "write_report"]
