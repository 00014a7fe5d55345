"""The border: what may be opened, and that damage is noticed."""

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp.files import compressed, structure
from bayes_ddp.files import fits as checked_fits
from bayes_ddp.files.checksums import verify_checksums
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import native, open_fits, safe_card
from bayes_ddp.files.paths import atomic_write, check_file
from bayes_ddp.spectra.pixels import clean_pixels


def read_image(path: Path, hdu: str) -> np.ndarray:
    with open_fits(path) as file:
        return file.image(hdu)


def read_table(path: Path, hdu: str, columns: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    with open_fits(path) as file:
        return file.table(hdu, columns)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A small FITS file with a float image, a table and checksums."""
    rng = np.random.default_rng(1)
    rows = np.array([(1, "ab", 2.5), (2, "c", np.nan)], "i8,S3,f4")
    rows.dtype.names = ("ID", "NAME", "VALUE")
    hdus = fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.ImageHDU(rng.normal(size=(4, 50)).astype(np.float32), name="FLUX"),
            fits.BinTableHDU(rows, name="STARS"),
        ]
    )
    path = tmp_path / "image.fits"
    hdus.writeto(path, checksum=True)
    return path


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files during a test."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("name", ["http://x/a.fits", "a\nb.fits", "a\x7f.fits", "\udcff.fits"])
def test_addresses_and_names_that_cannot_be_written_are_refused(name: str) -> None:
    with pytest.raises(BadFileError, match="refused as a file name") as error:
        check_file(name)
    assert str(error.value).isprintable() and str(error.value).isascii()


@pytest.mark.parametrize("name", ["a.fits[1]", "!a.fits", "a.fits(b)", "-a.fits", "a|b.fits"])
def test_name_that_a_fits_library_would_interpret_is_the_name_of_one_file(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """``a.fits`` beside it is another file, which is not read in its place."""
    fits.writeto(tmp_path / "a.fits", np.zeros((4, 50), np.float32))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadFileError, match="Check the path"):
        check_file(name)
    flux = read_image(image, "FLUX")
    image.rename(name)
    np.testing.assert_array_equal(read_image(Path(name), "FLUX"), flux)


def test_only_existing_regular_files_are_opened(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="Check the path"):
        check_file(tmp_path / "absent.fits")
    with pytest.raises(BadFileError, match="no regular file"):
        check_file(tmp_path)


def test_file_that_gzip_packed_is_read_like_the_plain_one(image: Path, scratch: Path) -> None:
    packed = image.with_name("image.fits.gz")
    packed.write_bytes(gzip.compress(image.read_bytes()))
    np.testing.assert_array_equal(read_image(packed, "FLUX"), read_image(image, "FLUX"))
    with open_fits(packed) as file:
        assert file.path == packed
        assert list(scratch.iterdir()) != []
    assert list(scratch.iterdir()) == []


def test_damage_inside_a_packed_file_is_noticed_and_the_file_named(
    image: Path, scratch: Path
) -> None:
    packed = image.with_name("image.fits.gz")
    changed = bytearray(image.read_bytes())
    changed[changed.index(b"EXTNAME = 'STARS") + 2880] ^= 1
    packed.write_bytes(gzip.compress(bytes(changed)))
    with pytest.raises(BadFileError, match=r"image\.fits\.gz, HDU 2 \(STARS\)"), open_fits(packed):
        pass
    whole = gzip.compress(image.read_bytes())
    for bad in (whole[:-50], whole[:30] + bytes(50) + whole[80:], b"\x1f\x8b" + bytes(5000)):
        packed.write_bytes(bad)
        with (
            pytest.raises(BadFileError, match=r"image\.fits\.gz cannot be unpacked"),
            open_fits(packed),
        ):
            pass
    assert list(scratch.iterdir()) == []


def test_file_that_unpacks_without_end_is_refused(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed, "MAX_BYTES", 10**7)
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(bytes(2 * 10**7)))
    with pytest.raises(BadFileError, match="unpacks to more than 10000000 bytes"), open_fits(path):
        pass
    assert list(scratch.iterdir()) == []


def test_of_a_large_table_only_what_is_asked_for_counts(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked_fits, "MAX_BYTES", 20)
    assert list(read_table(image, "STARS", ("ID",))) == ["ID"]  # 16 bytes
    with pytest.raises(BadFileError, match=r"2 columns of 24 bytes.*at most 20 are read"):
        read_table(image, "STARS", ("ID", "VALUE"))
    monkeypatch.setattr(structure, "MAX_TABLE_BYTES", 29)
    with pytest.raises(BadFileError, match=r"HDU 2 \(STARS\): has 2 .*30 bytes"):
        read_table(image, "STARS", ("ID",))


def test_image_is_bounded_as_a_whole(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "MAX_BYTES", 799)
    with pytest.raises(BadFileError, match=r"HDU 1 \(FLUX\): has 200 .*800 bytes"):
        read_image(image, "FLUX")


def test_big_endian_never_leaves_the_border(image: Path) -> None:
    flux, table = read_image(image, "FLUX"), read_table(image, "STARS")
    arrays = [flux, *table.values()]
    assert all(array.dtype.isnative for array in arrays)
    assert table["NAME"].tolist() == ["ab", "c"]
    assert table["NAME"].dtype.kind == "U"
    assert native(np.array([1.5, 2.5], ">f4")).tolist() == [1.5, 2.5]


def test_what_is_read_is_what_astropy_reads(image: Path) -> None:
    np.testing.assert_array_equal(read_image(image, "FLUX"), fits.getdata(image, "FLUX"))
    with open_fits(image) as file:
        assert file.names == ("", "FLUX", "STARS")
        assert file.header("FLUX")["NAXIS1"] == 50


def test_missing_hdu_is_named_with_those_that_exist(image: Path) -> None:
    with pytest.raises(BadFileError, match=r"no HDU 'IVAR'; it has \['FLUX', 'STARS'\]"):
        read_image(image, "IVAR")
    with pytest.raises(BadFileError, match="has no table"):
        read_table(image, "FLUX")
    with pytest.raises(BadFileError, match="has no image"):
        read_image(image, "STARS")


def test_checksums_of_an_intact_file_agree(image: Path) -> None:
    assert verify_checksums(image) == 3


def test_every_changed_byte_of_a_checksummed_file_is_noticed(image: Path) -> None:
    """300 places at random: ones-complement sums miss no single change.

    (Only a change in the name of the checksum card itself can make the card go missing.)
    """
    whole = bytearray(image.read_bytes())
    rng = np.random.default_rng(2)
    for place in rng.choice(len(whole), 300, replace=False):
        changed = whole.copy()
        changed[place] ^= int(rng.integers(1, 256))
        image.write_bytes(changed)
        with pytest.raises(BadFileError), open_fits(image):
            pass


def test_damaged_hdu_is_named(image: Path) -> None:
    whole = bytearray(image.read_bytes())
    place = whole.index(b"EXTNAME = 'FLUX") + 2880  # within the image
    whole[place - place % 2880 + 7] ^= 1
    image.write_bytes(whole)
    with pytest.raises(BadFileError, match=r"HDU 1 \(FLUX\).*Fetch it again"), open_fits(image):
        pass


@pytest.mark.parametrize("keep", [0, 100, 2880, 3000, 8000])
def test_file_cut_short_is_an_error(image: Path, keep: int) -> None:
    image.write_bytes(image.read_bytes()[:keep])
    with pytest.raises(BadFileError), open_fits(image):
        read_image(image, "STARS")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("NAXIS1  =                   50", "NAXIS1  =           9000000000"),
        ("NAXIS1  =                   50", "NAXIS1  =                  -50"),
        ("NAXIS1  =                   50", "NAXIS1  =                   5x"),
        ("BITPIX  =                  -32", "BITPIX  =                  -33"),
        ("TFORM2  = '3A      '", "TFORM2  = '3A0     '"),
        ("TFORM2  = '3A      '", "TFORM2  = '9A      '"),
        ("XTENSION= 'IMAGE", "XTENSI\xc3\xb6= 'IMAG"),
    ],
)
def test_impossible_header_is_refused_before_data_are_read(
    image: Path, old: str, new: str
) -> None:
    with fits.open(image) as hdus:  # without checksums, which would notice any edit
        for hdu in hdus:
            hdu.header.remove("CHECKSUM")
            hdu.header.remove("DATASUM")
        hdus.writeto(image, overwrite=True)
    whole = image.read_bytes()
    assert old.encode() in whole
    image.write_bytes(whole.replace(old.encode(), new.encode("latin-1")))
    with pytest.raises(BadFileError), open_fits(image):
        pass


def test_small_compressed_image_may_not_unpack_to_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "bomb.fits"
    fits.CompImageHDU(np.zeros((10, 10), np.int32)).writeto(path)
    text = path.read_bytes()
    place = text.index(b"ZNAXIS1 =")
    path.write_bytes(text[:place] + b"ZNAXIS1 =           9000000000" + text[place + 30 :])
    with pytest.raises(BadFileError, match="at most"), open_fits(path):
        pass


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_write(path) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_header_text_is_one_line_of_printable_ascii() -> None:
    card = safe_card("Å" + "x" * 100 + "\nnext")
    assert len(card) == 68
    assert card.isascii()
    assert card.isprintable()


def test_bad_pixels_are_masked_and_only_offered_ones_are_reported() -> None:
    flux = np.array([[np.nan, 1.0, 2.0], [np.nan, 1.0, 2.0], [1.0, 1.0, 1.0]])
    ivar = np.array([[1.0, 1.0, -1.0], [0.0, 1.0, 1.0], [np.inf, 1.0, 1.0]])
    masked = np.array([[False, False, False], [False, True, False], [False, False, False]])
    clean, kept, mended = clean_pixels(flux, ivar, masked)
    assert np.isfinite(clean).all()
    assert kept.tolist() == [[0, 1, 0], [0, 0, 1], [0, 1, 1]]
    assert mended.tolist() == [True, False, True]
    assert clean.dtype == kept.dtype == np.float32
