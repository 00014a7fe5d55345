"""Cells of any table: texts for unknown values, numbers, truth values, identifiers."""

import numpy as np
import pytest

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.tables.values import UNKNOWN_ID, identifiers, real, truth, typed, whole

TARGET = 39_633_345_008_634_465  # of DESI, beyond 2^53


@pytest.mark.parametrize("word", ["", "null", "--", "N/A", r"\N", "nan", "None", " NULL ", "?"])
def test_words_for_an_unknown_cell_are_unknown(word: str) -> None:
    cells = np.array(["5000.5", word])
    np.testing.assert_array_equal(real(cells, "a"), [5000.5, np.nan])
    np.testing.assert_array_equal(typed(cells), [5000.5, np.nan])
    assert whole(np.array(["7", word]), "a", unknown=-1).tolist() == [7, -1]
    assert identifiers(np.array([str(TARGET), word]), "a").tolist() == [TARGET, UNKNOWN_ID]
    assert truth(np.array(["yes", word]), "a").tolist() == [True, False]


def test_other_text_in_a_number_column_is_named_by_column_row_and_cell() -> None:
    with pytest.raises(BadFileError, match=r"t\.csv: column teff, row 3: '5000K' is not a number"):
        real(np.array(["5000", "null", "5000K"]), "t.csv: column teff")
    with pytest.raises(BadFileError, match=r"row 2: 'maybe' is not true or false"):
        truth(np.array(["T", "maybe"]), "a")
    with pytest.raises(BadFileError, match=r"row 2: '7\.5' is not a whole number"):
        whole(np.array(["7", "7.5"]), "a", unknown=-1)
    with pytest.raises(BadFileError, match="a has no numbers: row 1 is 'HD 1'"):
        real(np.array(["HD 1", "HD 2"]), "a")


def test_text_becomes_what_all_its_cells_are() -> None:
    large = typed(np.array([str(TARGET), "null"]))
    assert large.tolist() == [TARGET, None] and large.dtype == np.int64
    assert typed(np.array([str(TARGET), "1"])).tolist() == [TARGET, 1]
    assert typed(np.array(["True", "f", ""])).tolist() == [True, False, None]
    for cells in (["HD 1", "2"], ["007", "8"], ["null", ""], ["1", "2x"]):
        assert typed(np.array(cells)).tolist() == cells


def test_masked_cells_are_unknown() -> None:
    masked = np.ma.array([TARGET, 5], mask=[False, True])
    assert identifiers(masked, "a").tolist() == [TARGET, UNKNOWN_ID]
    np.testing.assert_array_equal(real(np.ma.array([1, 2], mask=[True, False]), "a"), [np.nan, 2])
    assert truth(np.ma.array([True, True], mask=[False, True]), "a").tolist() == [True, False]
    assert truth(np.array([1.0, np.nan, 0.0]), "a").tolist() == [True, False, False]


def test_identifiers_in_floating_point_are_accepted_only_where_none_was_rounded() -> None:
    small = np.array([101005.0, 2.0**53 - 1, np.nan])
    assert identifiers(small, "a").tolist() == [101005, 2**53 - 1, UNKNOWN_ID]
    with pytest.raises(BadFileError, match=r"rv\.fits: column TARGETID, row 2.*floating point"):
        identifiers(np.array([1.0, float(TARGET)]), "rv.fits: column TARGETID")
    with pytest.raises(BadFileError, match="floating point"):
        identifiers(np.array([2.0**53]), "a")  # 2^53 + 1 would look the same
    with pytest.raises(BadFileError, match=r"row 1: 1\.5 is no whole number"):
        identifiers(np.array([1.5]), "a")


def test_identifiers_that_were_float32_are_refused() -> None:
    with pytest.raises(BadFileError, match="keeps 7 digits"):
        identifiers(np.array([2.0**24 + 2], np.float32), "a")
    number = 100_000_000 + np.arange(5) * 17
    with pytest.raises(BadFileError, match="keeps 7 digits"):
        identifiers(number.astype(np.float32).astype(float), "a")
    assert identifiers(number.astype(float), "a").tolist() == number.tolist()


def test_unsigned_identifiers_keep_their_bits() -> None:
    assert identifiers(np.array([2**63 - 1], np.uint64), "a").tolist() == [2**63 - 1]
    with pytest.raises(BadFileError, match="beyond 64 bits"):
        identifiers(np.array([2**63], np.uint64), "a")
