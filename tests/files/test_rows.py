"""Every type of column of a FITS table: values, scales, nulls, alone and with its neighbours."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from bayes_ddp.files import rows as rows_module
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import open_fits

ROWS = 23

FORMS = tuple("L 3L X 11X B 4B I 3I J 2J K 2K A 7A E 3E D 2D C 2C M 2M 0E 0A 12A4".split())
SCALES = ({}, {"TSCAL": 0.5, "TZERO": 5000.0}, {"TSCAL": -3.0}, {"TZERO": 7.25})
BITS = {"B": 8, "I": 16, "J": 32, "K": 64}


def write_table(
    path: Path, forms: dict[str, tuple[str, dict]], content: dict[str, bytes], kind="BINTABLE"
) -> Path:
    """A file with one table of columns name -> (TFORM, further cards) and the bytes of each."""
    widths = {name: len(piece) // ROWS for name, piece in content.items()}
    header = fits.Header()
    header["XTENSION"], header["BITPIX"], header["NAXIS"] = kind, 8, 2
    header["NAXIS1"], header["NAXIS2"] = sum(widths.values()), ROWS
    header["PCOUNT"], header["GCOUNT"], header["TFIELDS"] = 0, 1, len(forms)
    start = 1
    for number, (name, (form, cards)) in enumerate(forms.items(), 1):
        header[f"TTYPE{number}"], header[f"TFORM{number}"] = name, form
        if kind == "TABLE":
            header[f"TBCOL{number}"] = start
            start += widths[name]
        for key, value in cards.items():
            header[f"{key}{number}"] = value
    header["EXTNAME"] = "T"
    table = b"".join(
        piece[row * widths[name] : (row + 1) * widths[name]]
        for row in range(ROWS)
        for name, piece in content.items()
    )
    fill = b"\0" if kind == "BINTABLE" else b" "
    primary = fits.PrimaryHDU().header.tostring().encode()
    path.write_bytes(primary + header.tostring().encode() + table + fill * (-len(table) % 2880))
    return path


def stored(form: str, seed: int) -> bytes:
    """Random bytes of a column that mean something in its type."""
    rng = np.random.default_rng(seed)
    letter = form.strip("0123456789")[0]
    count = int(form.split(letter, maxsplit=1)[0] or 1)
    size = ROWS * count
    if letter == "L":
        return rng.choice(np.frombuffer(b"TF", "u1"), size).tobytes()
    if letter == "A":
        words = np.array([b"ab", b"x", b"", b" lead", b"longer words"])
        return np.resize(words, ROWS).astype(f"S{count}").tobytes() if count else b""
    if letter == "X":
        return rng.integers(0, 256, ROWS * -(-count // 8), "u1").tobytes()
    if letter in BITS:
        span = 2 ** (BITS[letter] - 1)
        low = 0 if letter == "B" else -span
        values = rng.integers(
            low,
            low + 2 * span - 1,
            size,
            endpoint=True,
            dtype="u1" if letter == "B" else f"i{BITS[letter] // 8}",
        )
        values[:2] = (low, low + 2 * span - 1)[: size if size < 2 else 2]
        return values.astype(values.dtype.newbyteorder(">")).tobytes()
    kind = {"E": ">f4", "D": ">f8", "C": ">c8", "M": ">c16"}[letter]
    values = rng.normal(size=size) * 1e3
    values[:1] = np.nan
    return values.astype(kind).tobytes()


def columns() -> dict[str, tuple[str, dict]]:
    """Name -> (TFORM, cards): every type, unscaled, scaled, unsigned and with a null."""
    found: dict[str, tuple[str, dict]] = {}
    for form in FORMS:
        letter = form.strip("0123456789")[0]
        number = letter in "BIJKEDCM"
        for i, scale in enumerate(SCALES if number else SCALES[:1]):
            found[f"{form}_{i}"] = (form, dict(scale))
        if letter in BITS:
            null = int(
                np.frombuffer(
                    stored(form, 0),
                    np.dtype(
                        ">i8" if letter == "K" else {"B": "u1", "I": ">i2", "J": ">i4"}[letter]
                    ),
                )[5]
            )
            unsigned = {"B": -128, "I": 2**15, "J": 2**31, "K": 2**63}[letter]
            found[f"{form}_null"] = (form, {"TNULL": null})
            found[f"{form}_both"] = (form, {"TNULL": null, "TSCAL": 0.25, "TZERO": -4.0})
            found[f"{form}_unsigned"] = (form, {"TSCAL": 1, "TZERO": unsigned})
    found["cube"] = ("6J", {"TDIM": "(3,2)"})
    found["words"] = ("12A", {"TDIM": "(4,3)"})
    return found


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with every type of column."""
    forms = columns()
    content = {name: stored(form, 0) for name, (form, _) in forms.items()}
    return write_table(tmp_path_factory.mktemp("rows") / "every.fits", forms, content)


def by_astropy(path: Path, name: str) -> np.ma.MaskedArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path, character_as_bytes=False) as hdus:
            column, raw = hdus[1].columns[name], hdus[1].data.view(np.ndarray)[name]
            null = column.null
            if name.lstrip("2").startswith("K_") and column.bzero not in (None, "", 2**63):
                # Astropy 8 fails for 64-bit integers with a TZERO other than the unsigned one
                values = raw.astype(float) * float(column.bscale or 1) + float(column.bzero)
            else:
                values = np.array(hdus[1].data[name])
    mask = raw == null if null is not None else np.zeros(raw.shape, bool)
    return np.ma.masked_array(values, mask if mask.shape == values.shape else False)


def read(path: Path, *names: str) -> dict[str, np.ndarray]:
    with open_fits(path) as file:
        return file.table(1, names)


@pytest.mark.parametrize("name", columns())
def test_column_is_what_astropy_reads(every: Path, name: str) -> None:
    mine, theirs = read(every, name)[name], by_astropy(every, name)
    if theirs.dtype.kind == "U":
        mine, theirs = np.char.rstrip(mine), np.char.rstrip(theirs.data)
        assert mine.dtype.kind == "U"
        np.testing.assert_array_equal(mine, theirs)
        return
    assert len(mine) == ROWS and mine.size == theirs.size
    theirs = theirs.reshape(mine.shape)
    known = ~np.ma.getmaskarray(theirs)
    np.testing.assert_array_equal(np.asarray(mine)[known], theirs.data[known])
    if not known.all():
        hidden = (
            np.ma.getmaskarray(mine) if isinstance(mine, np.ma.MaskedArray) else np.isnan(mine)
        )
        np.testing.assert_array_equal(hidden, ~known)
    assert mine.dtype.isnative


def test_columns_read_together_are_those_read_alone(every: Path) -> None:
    together = read(every)
    assert list(together) == list(columns())
    for name, values in together.items():
        alone = read(every, name)[name]
        assert alone.dtype == values.dtype
        np.testing.assert_array_equal(np.asarray(alone), np.asarray(values))
        np.testing.assert_array_equal(np.ma.getmaskarray(alone), np.ma.getmaskarray(values))


def test_pieces_of_any_size_give_the_same_values(
    every: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read(every)
    for size in (1, 5000):
        monkeypatch.setattr(rows_module, "_CHUNK", size)
        for name, values in read(every).items():
            np.testing.assert_array_equal(np.asarray(values), np.asarray(whole[name]))


def test_unsigned_and_scaled_integers_keep_all_64_bits(tmp_path: Path) -> None:
    large = np.arange(2**63 - ROWS, 2**63, dtype=np.int64).astype(">i8")
    forms = {
        "unsigned": ("K", {"TZERO": 2**63}),
        "shifted": ("K", {"TZERO": -(2**62)}),
        "beyond": ("K", {"TZERO": 1000}),
        "null": ("K", {"TNULL": 2**63 - 1}),
    }
    found = read(write_table(tmp_path / "a.fits", forms, dict.fromkeys(forms, large.tobytes())))
    exact = [int(value) for value in large]
    assert found["unsigned"].tolist() == [value + 2**63 for value in exact]
    assert found["shifted"].tolist() == [value - 2**62 for value in exact]
    assert found["beyond"].tolist() == [value + 1000 for value in exact]
    assert found["null"].tolist() == [*exact[:-1], None]


def test_undefined_logical_is_neither_true_nor_false(tmp_path: Path) -> None:
    forms = {"good": ("L", {}), "teff": ("I", {})}
    content = {
        "good": b"TF\0" + b"T" * (ROWS - 3),
        "teff": np.arange(ROWS).astype(">i2").tobytes(),
    }
    found = read(write_table(tmp_path / "a.fits", forms, content))
    assert found["good"].tolist()[:4] == [True, False, None, True]
    assert not found["good"].data[2]
    assert found["teff"].tolist() == list(range(ROWS))


def test_text_ends_at_a_zero_byte(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.fits", {"name": ("5A", {})}, {"name": b"ab\0xy" * ROWS})
    assert read(path)["name"].tolist() == ["ab"] * ROWS


def test_null_that_astropy_writes_for_a_masked_table_is_unknown(tmp_path: Path) -> None:
    table = Table({"snr": np.arange(5, dtype="i4"), "id": 2**60 + np.arange(5)}, masked=True)
    table["snr"].mask[1] = table["id"].mask[2] = True
    table.write(tmp_path / "a.fits")
    found = read(tmp_path / "a.fits")
    assert np.isnan(found["snr"]).tolist() == [False, True, False, False, False]
    assert found["id"].tolist() == [2**60, 2**60 + 1, None, 2**60 + 3, 2**60 + 4]


def test_variable_length_column_is_refused_by_name_and_left_out_else(tmp_path: Path) -> None:
    ragged = np.array([np.arange(n, dtype="f4") for n in (1, 2, 3)], dtype=object)
    hdu = fits.BinTableHDU.from_columns(
        [fits.Column("FLUX", "PE()", array=ragged), fits.Column("ID", "J", array=[1, 2, 3])]
    )
    hdu.writeto(tmp_path / "a.fits")
    assert {name: v.tolist() for name, v in read(tmp_path / "a.fits").items()} == {"ID": [1, 2, 3]}
    with pytest.raises(BadFileError, match=r"a\.fits.*column FLUX has arrays of variable length"):
        read(tmp_path / "a.fits", "FLUX")


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"TSCAL": "x"}, "column a has TSCAL = 'x', which is no number"),
        ({"TZERO": "NaN"}, "column a has TZERO = 'NaN'"),
        ({"TSCAL": 0}, "TSCAL = 0"),
        ({"TNULL": "1E999999"}, "column a has TNULL = '1E999999'"),
        ({"TNULL": 1.5}, "column a has TNULL = '1.5', which is no integer"),
    ],
)
def test_scale_that_is_no_number_is_an_error_of_its_column(
    tmp_path: Path, cards: dict, message: str
) -> None:
    forms = {"a": ("I", cards), "b": ("I", {})}
    content = dict.fromkeys(forms, np.arange(ROWS).astype(">i2").tobytes())
    path = write_table(tmp_path / "a.fits", forms, content)
    assert read(path, "b")["b"].tolist() == list(range(ROWS))
    with pytest.raises(BadFileError, match=message):
        read(path, "a")


def test_two_columns_of_one_name_and_compressed_tables_are_refused(tmp_path: Path) -> None:
    hdu = fits.BinTableHDU(np.zeros(2, [("A", "i4"), ("B", "i4")]))
    hdu.writeto(tmp_path / "a.fits")
    whole = (tmp_path / "a.fits").read_bytes()
    (tmp_path / "a.fits").write_bytes(whole.replace(b"TTYPE2  = 'B", b"TTYPE2  = 'A"))
    with pytest.raises(BadFileError, match=r"several columns \['A'\]"):
        read(tmp_path / "a.fits")
    hdu.header["ZTABLE"] = True
    hdu.writeto(tmp_path / "b.fits")
    with pytest.raises(BadFileError, match="compressed table"):
        read(tmp_path / "b.fits")


# --- ASCII tables, as VizieR hands them out


def letters(cells: list[str], width: int) -> bytes:
    return "".join(cell.rjust(width) for cell in np.resize(cells, ROWS)).encode()


def test_ascii_table_is_what_astropy_reads(tmp_path: Path) -> None:
    forms = {
        "Name": ("A6", {}),
        "Teff": ("I5", {"TNULL": "-"}),
        "logg": ("F6.2", {}),
        "flux": ("E10.3", {"TSCAL": 2.0, "TZERO": 1.0}),
        "Source": ("I20", {}),
        "plx": ("D12.5", {}),
    }
    content = {
        "Name": letters(["HD 1", "x"], 6),
        "Teff": letters(["5000", "-", "6100"], 5),
        "logg": letters(["4.50", "-0.25"], 6),
        "flux": letters(["1.5E+02", "-2.0E-1"], 10),
        "Source": letters([str(2**60 + 1)], 20),
        "plx": letters(["1.25D+01", "3.0"], 12),
    }
    path = write_table(tmp_path / "a.fits", forms, content, "TABLE")
    found = read(path)
    theirs = fits.getdata(path)
    assert np.isnan(found["Teff"]).tolist()[:3] == [False, True, False]
    assert found["Teff"].tolist()[::3] == [5000.0] * len(found["Teff"][::3])
    assert found["Source"].tolist() == [2**60 + 1] * ROWS
    for name in ("logg", "flux", "plx"):
        np.testing.assert_allclose(found[name], theirs[name], rtol=1e-12)
    assert [name.strip() for name in found["Name"]] == [name.strip() for name in theirs["Name"]]


def test_empty_field_of_an_ascii_table_is_unknown_and_text_in_a_number_an_error(
    tmp_path: Path,
) -> None:
    path = write_table(
        tmp_path / "a.fits", {"logg": ("F6.2", {})}, {"logg": letters(["", "450"], 6)}, "TABLE"
    )
    assert np.isnan(read(path)["logg"][0]) and read(path)["logg"][1] == 4.5  # implied point
    write_table(path, {"logg": ("F6.2", {})}, {"logg": letters(["4.5", "abc"], 6)}, "TABLE")
    with pytest.raises(BadFileError, match=r"column logg: row 2 is no number"):
        read(path)


def test_ascii_column_beyond_its_row_is_refused(tmp_path: Path) -> None:
    path = write_table(
        tmp_path / "a.fits", {"logg": ("F6.2", {})}, {"logg": letters(["4.5"], 6)}, "TABLE"
    )
    path.write_bytes(
        path.read_bytes().replace(
            b"TBCOL1  =                    1", b"TBCOL1  =                    9"
        )
    )
    with pytest.raises(BadFileError, match="do not fill rows"):
        read(path)


# --- images


def test_blank_pixels_of_an_integer_image_are_nan(tmp_path: Path) -> None:
    image = np.arange(12, dtype="i2").reshape(3, 4)
    hdu = fits.ImageHDU(image, name="FLUX")
    hdu.header["BLANK"] = 5
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "a.fits")
    with open_fits(tmp_path / "a.fits") as file:
        found = file.image("FLUX")
    assert np.isnan(found[1, 1]) and np.isnan(found).sum() == 1 and found[2, 3] == 11
