"""Receipts, the table and the group report that are made of them, and the lock beside them."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eegvlm_rt.cohort import Status, finish, read_receipt, receipts_in
from eegvlm_rt.cohort.group import outlier_scores
from eegvlm_rt.cohort.lock import folder_lock
from eegvlm_rt.cohort.receipt import receipt_path, write_receipt
from eegvlm_rt.cohort.row import COLUMNS, row_of_receipt
from eegvlm_rt.cohort.table import PIECE, write_table
from eegvlm_rt.errors import OutputError
from eegvlm_rt.files.seal import is_ours

from .nights import page_of, receipt_of


def test_a_receipt_comes_back_as_it_was(tmp_path):
    receipt = replace(receipt_of(3), path="/data/n\udcff.edf", remarks=("1 record is missing",))
    path = write_receipt(tmp_path, receipt)
    assert read_receipt(path) == receipt
    assert list(receipts_in(tmp_path)) == [receipt]
    assert is_ours(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 5000), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_receipt_is_none_or_whole_never_an_error(tmp_path, place, byte, cut):
    path = write_receipt(tmp_path, receipt_of(1))
    data = bytearray(path.read_bytes())
    place %= len(data)
    data[place] = byte
    path.write_bytes(data[:place] if cut else data)
    receipt = read_receipt(path)
    assert receipt is None or isinstance(receipt.status, Status)
    for found in receipts_in(tmp_path):
        assert list(row_of_receipt(found)) == list(COLUMNS)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"format": "eegvlm-rt receipt", "version": 1}', "{" * 9999]
)
def test_what_is_no_receipt_is_none(tmp_path, text):
    path = receipt_path(tmp_path, "x")
    path.parent.mkdir()
    path.write_text(text)
    assert read_receipt(path) is None
    assert list(receipts_in(tmp_path)) == []


def test_figures_that_no_night_has_are_empty(tmp_path):
    odd = {"sleep_min": 10**400, "awakenings": 2**70, "W_min": "12", "N1_min": True, "R_min": float("nan")}
    receipt = receipt_of(1, **odd)
    row = row_of_receipt(receipt)
    assert [row[name] for name in odd] == [None] * 5
    write_table(tmp_path, [receipt])
    assert page_of([receipt])


class TestTable:
    def test_csv_and_parquet_have_a_row_per_receipt_and_the_same_values(self, tmp_path):
        receipts = [receipt_of(i) for i in range(4)] + [receipt_of(9, status=Status.FAILED)]
        write_table(tmp_path, receipts)
        with (tmp_path / "nights.csv").open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        table = pq.read_table(tmp_path / "nights.parquet").to_pylist()
        assert len(rows) == len(table) == 5
        assert list(rows[0]) == list(COLUMNS) == list(table[0])
        for row, binary, receipt in zip(rows, table, receipts, strict=True):
            assert row["night"] == binary["night"] == receipt.night
            for name, (kind, _) in COLUMNS.items():
                assert (row[name] == "") == (binary[name] in (None, ""))
                if kind is float and row[name]:
                    assert float(row[name]) == binary[name]
        assert rows[4]["status"] == "failed"
        assert rows[4]["sleep_min"] == ""
        assert "cannot be read" in rows[4]["error"]

    def test_the_dictionary_says_what_every_column_means(self, tmp_path):
        write_table(tmp_path, [receipt_of(1)])
        fields = json.loads((tmp_path / "nights.json").read_text(encoding="utf-8"))
        assert list(fields["columns"]) == list(COLUMNS)
        assert all(column["meaning"] for column in fields["columns"].values())
        assert set(fields["written"]["files"]) == {"nights.csv", "nights.parquet"}

    def test_it_is_written_in_pieces(self, tmp_path):
        few = receipt_of(1)
        write_table(tmp_path, (replace(few, night=f"n{i}") for i in range(PIECE + 1)))
        assert pq.ParquetFile(tmp_path / "nights.parquet").num_row_groups == 2
        assert pq.read_metadata(tmp_path / "nights.parquet").num_rows == PIECE + 1

    def test_a_name_is_no_formula_of_a_spreadsheet(self, tmp_path):
        write_table(tmp_path, [replace(receipt_of(1), path="=cmd|'/c calc'!A1.edf")])
        assert "\n'=cmd" not in (tmp_path / "nights.csv").read_text()
        assert ",'=cmd" in (tmp_path / "nights.csv").read_text()

    def test_one_that_a_person_changed_stays(self, tmp_path):
        write_table(tmp_path, [receipt_of(1)])
        write_table(tmp_path, [receipt_of(1), receipt_of(2)])
        path = tmp_path / "nights.csv"
        path.write_text(path.read_text() + "my note\n")
        with pytest.raises(OutputError, match="--overwrite"):
            write_table(tmp_path, [receipt_of(1)])
        assert path.read_text().endswith("my note\n")
        write_table(tmp_path, [receipt_of(1)], overwrite=True)


class TestGroup:
    def test_it_says_how_nights_are_spread_and_which_stand_out(self, tmp_path):
        for i in range(20):
            write_receipt(tmp_path, receipt_of(i))
        write_receipt(tmp_path, receipt_of(20, sleep_min=3.0))
        write_receipt(tmp_path, receipt_of(21, scored_min=100.0, flag_flat_epochs=77))
        write_receipt(tmp_path, receipt_of(22, status=Status.FAILED))
        paths = finish(tmp_path)
        page = paths[-1].read_text(encoding="utf-8")
        text = " ".join(re.sub(r"<[^>]*>", " ", page.split("</style>")[1]).split())
        assert "22 scored, 1 failed" in text
        assert "night-020 Sleep time (TST) 3 min" in text
        assert re.search(r"night-021 21 % .*flat 77", text)
        assert "night-022 file: bad.edf; cannot be read" in text
        assert "Not a medical device" in text
        assert not re.search(r"https?:|src=|@import", page)
        assert is_ours(paths[-1])

    def test_text_of_a_night_is_no_markup(self):
        receipt = replace(receipt_of(1, status=Status.FAILED), error="<script>alert(1)</script>")
        assert "<script>" not in page_of([receipt])

    def test_without_a_night_it_is_a_page_too(self):
        assert "0 scored, 0 failed" in page_of([])

    def test_the_score_of_an_outlier_is_that_of_iglewicz_and_hoaglin(self):
        scores = outlier_scores(np.array([1.0, 2.0, 3.0, 4.0, 100.0, np.nan]))
        # Median 3, deviations 2 1 0 1 97, MAD 1.
        assert scores[:5] == pytest.approx([-1.349, -0.6745, 0.0, 0.6745, 65.4265])
        assert np.isnan(scores[5])
        assert outlier_scores(np.array([5.0, 5.0, 5.0, 9.0])).tolist() == [0.0] * 4


class TestLock:
    def test_it_names_its_owner_and_is_free_again_after_it(self, tmp_path):
        with (
            folder_lock(tmp_path),
            pytest.raises(OutputError, match=r"process \d+ of .* since 20"),
            folder_lock(tmp_path),
        ):
            pass
        with folder_lock(tmp_path):
            pass

    def test_parts_have_locks_of_their_own(self, tmp_path):
        with folder_lock(tmp_path, "sub-01"), folder_lock(tmp_path, "sub-02"):
            for scope in ("sub-01", ""):
                with pytest.raises(OutputError, match="another run"), folder_lock(tmp_path, scope):
                    pass
        with folder_lock(tmp_path), pytest.raises(OutputError), folder_lock(tmp_path, "sub-01"):
            pass
