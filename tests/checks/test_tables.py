"""Files as operators have them: typed columns, missing values, broken rows, and errors that say what to do."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from checks.base import CheckError
from checks.tables import Kind, Table, open_table
from tests.checks.data_helpers import write_csv, write_jsonl


def opened(path: Path, **more: object) -> Table:
    return open_table(path, lambda _text, _share: None, **more)  # type: ignore[arg-type]


def test_csv_columns_get_their_types_and_missing_values(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("amount,country,flag,id\n1.5,de,True,1_0\n,NA,false,2\nNaN,,TRUE,3\n-inf,de,False,4\n")
    table = opened(path)
    amount, country, flag = (table.column(name) for name in ("amount", "country", "flag"))
    assert table.rows == 4
    assert amount.kind is Kind.NUMERIC
    assert amount.missing_rows == 2
    assert amount.present.tolist() == [1.5, -np.inf]
    assert country.counts() == {"de": 2, "NA": 1}
    assert country.missing_rows == 1
    assert flag.counts() == {"true": 2, "false": 2}
    assert table.column("id").kind is Kind.CATEGORICAL


def test_one_table_reads_the_same_from_every_format(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [
        {"x": float(x) if x > -1 else None, "n": int(n), "c": str(c) if c != "b" else None, "f": bool(n % 2)}
        for x, n, c in zip(
            random.normal(size=500), random.integers(0, 9, 500), random.choice(list("abc"), 500), strict=True
        )
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame(rows).write_csv(tmp_path / "a.csv")
    write_jsonl(tmp_path / "a.jsonl", rows)
    with gzip.open(tmp_path / "a.csv.gz", "wb") as packed:
        packed.write((tmp_path / "a.csv").read_bytes())
    (tmp_path / "a.tsv").write_text((tmp_path / "a.csv").read_text().replace(",", "\t"))
    tables = [opened(tmp_path / name) for name in ("a.parquet", "a.csv", "a.jsonl", "a.csv.gz", "a.tsv")]
    for name in ("x", "n", "c", "f"):
        columns = [table.column(name) for table in tables]
        assert len({column.kind for column in columns}) == 1
        assert len({column.missing_rows for column in columns}) == 1
        assert all(column.counts() == columns[0].counts() for column in columns)
        assert all(column.texts().tolist() == columns[0].texts().tolist() for column in columns)


def test_a_column_that_turns_to_text_after_a_block_of_numbers_keeps_its_spelling(tmp_path: Path) -> None:
    codes = ["007"] * 25_000 + ["X1"] * 10
    column = opened(write_csv(tmp_path / "a.csv", {"code": codes, "n": range(25_010)})).column("code")
    assert column.counts() == {"007": 25_000, "X1": 10}


def test_nested_json_has_dotted_columns_and_keys_that_come_late_are_missing_before(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"input": {"amount": n}, "tags": [n]} for n in range(3)]
    rows.append({"input": {"amount": 9, "new": "x"}, "tags": []})
    table = opened(write_jsonl(tmp_path / "a.jsonl", rows))
    assert table.column("input.amount").present.tolist() == [0, 1, 2, 9]
    assert table.column("input.new").missing_rows == 3
    assert table.column("tags").kind is Kind.OTHER
    assert "lists" in table.column("tags").note


def test_nan_as_python_writes_it_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": NaN}\n{"x": 1}\n{"x": Infinity}\n')
    assert opened(path).column("x").missing_rows == 1


def test_a_broken_row_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1,2\n" * 500 + "1,2,3\n" + "1,2\n" * 500)
    table = opened(path)
    assert (table.rows, table.spoiled) == (1_000, 1)
    assert "line 502 (3 fields instead of 2)" in table.first_spoiled
    cut = tmp_path / "a.jsonl"
    cut.write_text('{"a": 1}\n' * 300 + '{"a": ')
    assert (opened(cut).rows, opened(cut).spoiled) == (300, 1)


def test_many_broken_rows_are_an_error_that_names_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1,2\n" * 50 + "1\n" * 50)
    with pytest.raises(CheckError, match=r"50 of 100 rows cannot be read, the first near line 52"):
        opened(path)


def test_identifiers_are_not_kept_as_categories(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", {"id": [f"u{n}" for n in range(100_500)]})
    assert opened(path).column("id").kind is Kind.OTHER
    assert opened(path, only=["id"]).column("id").kind is Kind.CATEGORICAL


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"a,b\n", "no rows"),
        ("a.csv", b"a,a\n1,2\n", "two columns named 'a'"),
        ("a.csv", b'a,b\n1,"2\n' + b"x" * 200_000, "never closed"),
        ("a.xlsx", b"PK\x03\x04", "no known kind"),
        ("a.parquet", b"nonsense", "not a Parquet file"),
        ("a.parquet", b"PAR1" + b"\0" * 100, "cannot be read as Parquet"),
        ("a.csv.gz", b"\x1f\x8b\x08\x00broken", "cannot be unpacked"),
        ("a.jsonl", b"[1, 2]\n", "no line that is a JSON object"),
    ],
)
def test_unreadable_files_are_named_with_a_reason(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckError, match=says) as caught:
        opened(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_a_folder_and_a_missing_column_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="no file"):
        opened(tmp_path / "none.csv")
    with pytest.raises(CheckError, match="is a folder"):
        opened(tmp_path)
    with pytest.raises(CheckError, match=r"no column 'amuont'; it has amount"):
        opened(write_csv(tmp_path / "a.csv", {"amount": [1], "b": [2]})).column("amuont")


def test_a_cut_off_parquet_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"a": range(1_000)}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CheckError, match="Copy it again"):
        opened(path)


def test_parquet_types_decimal_dates_lists_and_nulls(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "price": pl.Series(["1.50", None, "2.25"]).cast(pl.Decimal(10, 2)),
            "big": pl.Series([2**63 + 1, 2**63, None], dtype=pl.UInt64),
            "day": pl.Series(["2026-01-01", "2026-01-02", None]).str.to_date(),
            "tags": [["a"], [], None],
            "kind": pl.Series(["a", "b", "a"], dtype=pl.Categorical),
            "none": pl.Series([None, None, None], dtype=pl.Null),
        }
    )
    frame.write_parquet(tmp_path / "a.parquet")
    table = opened(tmp_path / "a.parquet")
    assert table.column("price").present.tolist() == [1.5, 2.25]
    assert table.column("big").present.tolist() == [2**63 + 1, 2**63]
    assert table.column("day").kind is Kind.OTHER
    assert table.column("tags").kind is Kind.OTHER
    assert table.column("kind").counts() == {"a": 2, "b": 1}
    assert table.column("none").missing_rows == 3


def test_without_polars_parquet_says_which_extra_is_missing_and_csv_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(CheckError, match=r"infdiag-tui\[data\]"):
        opened(tmp_path / "a.parquet")
    assert opened(write_csv(tmp_path / "a.csv", {"a": [1]})).rows == 1


def test_hostile_names_and_values_are_made_printable(tmp_path: Path) -> None:
    table = opened(write_csv(tmp_path / "a.csv", {"c": ["\x1b[31mred", "blue"]}))
    assert set(table.column("c").counts()) == {"red", "blue"}
