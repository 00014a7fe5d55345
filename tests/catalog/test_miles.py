"""Flags on real stars: MILES (Sánchez-Blázquez+2006), abundances of Hypatia (Hinkel+2014)."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp.catalog.flags import DETECTED
from bayes_ddp.catalog.table import make_catalogue
from bayes_ddp.emulator.card import load_emulator
from bayes_ddp.emulator.limits import model_limits
from bayes_ddp.flags import WARN
from bayes_ddp.inference.fit import fit
from bayes_ddp.inference.parts import Part
from bayes_ddp.inference.samplers import Map
from bayes_ddp.solar import labels_from_xh
from bayes_ddp.spectra.read import read
from bayes_ddp.spectra.select import arm_snr

CARBON_STAR = "HD187216"
NORMAL = ("HD023249", "HD101501", "HD122742", "HD134987", "HD293857")
"""G and K dwarfs and a subgiant whose [O/Fe] is fitted at -0.3 to -1.5, below [C/Fe]."""
MEASURED, UNMEASURED = ("MG_FE", "CA_FE", "TI_FE"), ("CR_FE", "NI_FE", "N_FE", "O_FE")


def library(data: Path) -> Table:
    """The stars' labels from the literature."""
    return Table.read(data / "miles" / "labels.csv")


def catalogue_of(data: Path, rows: np.ndarray, *, batch: int) -> Table:
    """The catalogue of these rows of the library."""
    layout = {
        "wave": "wave_air",
        "flux": "flux",
        "air": True,
        "fwhm": 2.51,
        "vrad": 0.0,
        "vrad_err": 10.0,
        "name": "miles_id",
    }
    every = read(data / "miles" / "spectra.npz", layout=layout)
    ids = library(data)["miles_id"].astype(str)
    at = {name: row for row, name in enumerate(every.identifiers())}
    raw = every.take(np.array([at[name] for name in ids[rows]]))
    emulator = load_emulator("desi-physics")
    posterior = fit(raw, emulator, sampler=Map(), batch=batch)
    snr = np.stack(list(arm_snr(raw).values()), axis=1)
    part = Part(
        "table",
        "NAME",
        raw.columns,
        raw.vrad,
        raw.vrad_err,
        np.full(len(raw), np.nan),
        snr,
        posterior,
    )
    return make_catalogue(part, limits=model_limits(emulator.space, emulator.card.table))


def bit(table: Table, which: WARN) -> np.ndarray:
    return (np.asarray(table["WARN"]) & int(which)) != 0


def flagged(table: Table, column: str) -> np.ndarray:
    return np.asarray(table[f"{column}_FLAG"]) == DETECTED


@pytest.mark.slow
def test_carbon_star_is_named_and_normal_stars_with_little_oxygen_are_not(data):
    """And what their spectra measure is published, what they do not is not."""
    names = list(library(data)["name"])
    rows = np.array([names.index(name) for name in (CARBON_STAR, *NORMAL)])
    table = catalogue_of(data, rows, batch=len(rows))
    assert bit(table, WARN.CARBON).tolist() == [True, False, False, False, False, False]
    kept = np.isfinite(table["TEFF"])[1:]
    assert kept.sum() >= 4
    for column in MEASURED:
        assert flagged(table, column)[1:][kept].sum() >= kept.sum() - 1
    for column in UNMEASURED:
        assert not flagged(table, column)[1:].any()


@pytest.mark.slow
def test_published_abundances_of_miles_carry_information(data):
    """All 491 stars: no carbon star among 363 of FGK type; correlations with Hypatia's values.

    The chance correlation of 100 stars has a standard deviation of 0.1.
    """
    labels = library(data)
    table = catalogue_of(data, np.arange(len(labels)), batch=32)
    teff = np.asarray(labels["teff"], float)
    usual = (teff > 4000) & (teff < 7000)
    carbon = bit(table, WARN.CARBON)
    assert not carbon[usual].any() and carbon[list(labels["name"]).index(CARBON_STAR)]
    given = {c: np.ma.filled(labels[c].astype(float), np.nan) for c in labels.colnames[8:]}
    truth = labels_from_xh(given, scale="Lodders+2009", pattern="{element}_h_hypatia")
    fitted = usual & np.isfinite(np.asarray(table["TEFF"]))
    for column, least in (
        ("MG_FE", 0.6),
        ("CA_FE", 0.6),
        ("TI_FE", 0.6),
        ("C_FE", 0.4),
        ("MN_FE", 0.4),
    ):
        found = np.asarray(table[column], float)
        assert np.isfinite(found[fitted]).mean() > 0.7, column
        both = fitted & np.isfinite(found) & np.isfinite(truth[column.lower()])
        assert both.sum() > 100
        assert np.corrcoef(found[both], truth[column.lower()][both])[0, 1] > least, column
    for column in ("CR_FE", "NI_FE"):
        assert np.isfinite(np.asarray(table[column])[fitted]).mean() < 0.05, column
