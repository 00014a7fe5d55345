"""The pack of physical spectra: what is held stays, errors are as promised, LSF is analytic."""

import numpy as np
import pytest

from bayes_ddp.emulator.physics import library as physics
from bayes_ddp.emulator.physics.codec import decode_log, empty_code, encode_log, extend
from bayes_ddp.emulator.physics.pack import StoredSpectra
from bayes_ddp.labels import LABELS

WAVE = physics.WAVE
RNG = np.random.default_rng(0)
LINES = RNG.uniform(3600, 9840, 40)
MIXTURE = RNG.normal(size=(40, 15))


def fake_norm(labels):
    """[pixel] uint16: forty Gaussian lines whose depths follow the labels nonlinearly."""
    x = (labels - np.array([6000, 3, 1.5] + [0.0] * 12)) / np.array([500, 1, 0.3] + [0.3] * 12)
    strength = 0.5 / (1 + np.exp(-(MIXTURE @ x)))
    near = np.exp(-0.5 * ((WAVE[:, None] - LINES) / 0.6) ** 2)
    return np.round((1 - near @ strength) * 40000).astype(np.uint16)


def write_spectra(folder, first, number):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(first)
    for i in range(first, first + number):
        labels = np.r_[rng.normal([6000, 3, 1.5], [500, 1, 0.3]), rng.normal(0, 0.3, 12)]
        cont = np.exp(np.linspace(15, 14, 315) + 0.1 * rng.normal()).astype("f4")
        np.savez(folder / f"g_{i:05d}.npz", labels=labels, norm=fake_norm(labels), cont=cont)


def write_reference(folder, index):
    folder.mkdir(parents=True, exist_ok=True)
    step = np.array([row.step for row in LABELS])
    point = np.r_[6000.0 + 100 * index, 4.0, 1.2, np.zeros(12)]
    labels = point + np.concatenate([np.zeros((1, 15)), np.diag(step)])
    norm = np.array([fake_norm(row) for row in labels])
    cont = np.exp(np.linspace(15, 14, 315))[None].repeat(16, 0).astype("f4")
    name = f"ref_{index:03d}.npz"
    np.savez(folder / name, labels=labels, norm=norm, cont=cont, step=step, label_names=["x"] * 15)


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A pack taken in twice: (library before, library after, folders and what they held)."""
    place = tmp_path_factory.mktemp("pack")
    pack, held_out = place / "models" / "physics-lte", place / "models" / "held-out"
    write_spectra(place / "one" / "random", 0, 24)
    write_reference(place / "one" / "reference", 3)
    np.savez(place / "one" / "reference" / "fine_003.npz", norm=np.zeros(3))
    (place / "one" / "random" / "g_00099.part.npz").write_bytes(b"half a file")
    first = physics.add_spectra([place / "one"], pack, held_out)
    before, stored = physics.read_pack(pack), StoredSpectra.read(pack)
    write_spectra(place / "two", 24, 12)
    write_reference(place / "two", 8)
    second = physics.add_spectra([place / "one", place / "two"], pack, held_out)
    return (
        before,
        physics.read_pack(pack),
        (place, pack, held_out, first, second, stored, StoredSpectra.read(pack)),
    )


def test_what_is_held_stays_bit_for_bit_when_a_pack_grows(grown):
    before, after, (*_, stored, grown_pack) = grown
    for kind in ("norm", "difference"):
        old, new = getattr(stored, kind), getattr(grown_pack, kind)
        row, rank = old.coefficients.shape
        assert row > 0
        assert rank <= new.coefficients.shape[1]
        assert np.array_equal(new.coefficients[:row, :rank], old.coefficients)
        assert not new.coefficients[:row, rank:].any()
        assert np.array_equal(new.directions[:rank], old.directions)
        assert np.array_equal(new.scale[:rank], old.scale)
    assert len(stored.norm.scale) < len(grown_pack.norm.scale)
    row, rank = stored.shared.shape
    assert np.array_equal(grown_pack.shared[:row, :rank], stored.shared)
    assert not grown_pack.shared[:row, rank:].any()
    assert after.names[: len(before.names)] == before.names
    for key in ("labels", "cont", "step"):
        old, new = getattr(before, key), getattr(after, key)
        assert np.array_equal(old, new[: len(old)]), key
    for key in ("norm", "reference_norm", "reference_cont"):
        old, new = getattr(before, key), getattr(after, key)
        np.testing.assert_allclose(new[: len(old)], old, rtol=1e-6, atol=1e-6, err_msg=key)


def test_taking_in_skips_what_is_held(grown):
    _, after, (_, _, _, first, second, *_) = grown
    assert (first["new"], first["random"], first["reference"]) == (25, 24, 1)
    assert (second["new"], second["random"], second["reference"]) == (13, 36, 2)
    assert len(after.names) == 36


def test_coding_error_is_below_its_target(grown):
    _, after, (place, *_) = grown
    for i, name in enumerate(after.names):
        path = next(place.rglob(f"{name}.npz"))
        with np.load(path) as truth:
            error = after.norm[i] - truth["norm"] / 40000
            assert np.sqrt(np.mean(error**2)) < 5.1e-4
            np.testing.assert_allclose(after.cont[i], truth["cont"], rtol=1e-4)
            np.testing.assert_array_equal(after.labels[i], truth["labels"])


def test_differences_are_coded_finer_than_spectra(grown):
    _, after, (place, *_) = grown
    for i, name in enumerate(after.reference_names):
        with np.load(next(place.rglob(f"{name}.npz"))) as truth:
            norm = truth["norm"].astype(float) / 40000
            np.testing.assert_allclose(after.reference_labels[i], truth["labels"], atol=1e-9)
        change = norm[1:] - norm[0]
        coded = after.reference_norm[i, 1:].astype(float) - after.reference_norm[i, 0]
        error = np.sqrt(np.mean((coded - change) ** 2, axis=1))
        own = np.sqrt(np.mean(change**2, axis=1))
        assert (error < 1.02 * np.maximum(3e-5, 0.02 * own)).all()


def test_held_out_spectra_are_kept_without_loss(grown):
    _, after, (place, _, held_out, *_) = grown
    kept = physics.read_held_out(held_out)
    assert kept.names == tuple(np.array(after.names)[after.held_out])
    assert 0 < len(kept.names) < len(after.names) / 2
    for i, name in enumerate(kept.names):
        with np.load(next(place.rglob(f"{name}.npz"))) as truth:
            np.testing.assert_array_equal(np.rint(kept.norm[i] * 40000), truth["norm"])
            np.testing.assert_array_equal(kept.cont[i], truth["cont"])


def test_index_names_what_is_held(grown):
    _, after, (_, pack, *_) = grown
    rows = (pack / "index.csv").read_text().splitlines()[1:]
    listed = {row.split(",")[0] for row in rows}
    assert listed == {*after.names, *after.reference_names}


def test_changed_pack_is_refused(grown, tmp_path):
    _, _, (_, pack, *_) = grown
    for name in ("card.toml", "spectra.safetensors"):
        (tmp_path / name).write_bytes((pack / name).read_bytes())
    with open(tmp_path / "spectra.safetensors", "r+b") as stream:
        stream.seek(-8, 2)
        stream.write(b"\x01\x02\x03\x04\x05\x06\x07\x08")
    with pytest.raises(ValueError, match="sha256"):
        physics.read_pack(tmp_path)


def test_foreign_file_is_named_in_the_error(tmp_path):
    np.savez(tmp_path / "g_00000.npz", labels=np.zeros(3), norm=np.zeros(5), cont=np.ones(2))
    with pytest.raises(ValueError, match=r"g_00000\.npz.*labels"):
        physics.add_spectra([tmp_path], tmp_path / "pack", tmp_path / "held")
    assert not (tmp_path / "pack").exists()


def test_about_one_spectrum_in_ten_is_held_out_and_no_reference_point():
    """Binomial(20000, 26/256): five standard deviations are 0.011."""
    share = np.mean([physics.is_held_out(f"g_{i:05d}") for i in range(20_000)])
    assert abs(share - 26 / 256) < 0.011
    assert not any(physics.is_held_out(f"ref_{i:03d}") for i in range(101))


def test_code_needs_no_more_directions_for_rows_it_can_make_already():
    rows = RNG.normal(size=(3, 50)).astype("f4")
    code, error = extend(empty_code(50), rows, np.full(3, 1e-3))
    assert (error < 1e-3).all()
    again, _ = extend(code, 0.5 * (rows[:1] + rows[1:2]), np.full(1, 1e-2))
    assert len(again.scale) == len(code.scale)
    assert np.array_equal(again.decode()[:3], code.decode())


def test_logarithmic_code_is_good_to_a_part_in_ten_thousand():
    values = np.exp(np.cumsum(RNG.normal(0, 0.2, (4, 300)), axis=1))
    np.testing.assert_allclose(decode_log(*encode_log(values)), values, rtol=1e-4)


@pytest.mark.parametrize(("fwhm", "step"), [(1.2, 0.5), (2.0, 0.8), (4.0, 0.7)])
def test_gaussian_line_degrades_to_the_analytic_line(fwhm, step):
    wave = np.arange(3590.0, 9850.0, step)
    sigma_in, sigma_out = (width / np.sqrt(8 * np.log(2)) for width in (1.0, fwhm))
    centre, area = 5000.13, 0.3

    def line(where, sigma):
        return area / sigma * np.exp(-0.5 * ((where - centre) / sigma) ** 2)

    found = physics.degrade(WAVE, 1 - line(WAVE, sigma_in), 1.0, wave=wave, fwhm=fwhm)
    np.testing.assert_allclose(found, 1 - line(wave, sigma_out), atol=4e-4 * area / sigma_out)


def test_constant_stays_constant_up_to_the_ends():
    wave = np.arange(3580.0, 9860.0, 0.5)
    flux = physics.degrade(WAVE, np.full((2, len(WAVE)), 3.0), 1.0, wave=wave, fwhm=1.3)
    np.testing.assert_allclose(flux, 3.0, rtol=1e-12)


def test_degrading_to_a_width_too_close_is_refused():
    with pytest.raises(ValueError, match="at least"):
        physics.degrade(WAVE, np.ones(len(WAVE)), 1.0, wave=WAVE, fwhm=1.05)


def test_shipped_pack_keeps_its_promises(models):
    held = StoredSpectra.read(models / "physics-lte")
    assert held.rms.max() < 5e-4
    size = sum(path.stat().st_size for path in (models / "physics-lte").iterdir())
    assert size < 20e6
    assert len(held.names) == len(set(held.names)) > 60
    kept = physics.read_held_out(models / "held-out")
    assert all(map(physics.is_held_out, kept.names))
    assert len(kept.names) <= 128
