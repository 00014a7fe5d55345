"""Whatever is in the pixels, a star has one row: finite labels or a bit, the others unchanged.

Property tests (hypothesis) on the small survey, from raw spectra to rows of a catalogue. The runs
of 500 examples are slow tests; the same functions are tested with a few examples every time.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayes_ddp.catalog.table import make_catalogue
from bayes_ddp.flags import FATAL, WARN
from bayes_ddp.inference.fit import fit
from bayes_ddp.inference.parts import Part
from bayes_ddp.inference.samplers import Map
from bayes_ddp.spectra.raw import RawSpectra

STARS, FEW, MANY = 4, 15, 500
SLACK = 1e-3
"""Errors by which results may differ for the order of sums."""
LABEL = ("TEFF_P50", "LOGG_P50", "FEH_P50", "TEFF_ERR")


class World:
    """Four stars of S/N 60 and their rows before anything is broken; prints as its name only."""

    def __init__(self, survey: Any) -> None:
        truth = survey.typical([4700, 5200, 5800, 6400], [2.5, 4.5, 4.3, 4.1], [-0.5, 0, -1, -0.3])
        self.emulator, self.raw = survey.emulator, survey.raw(truth, 60.0, 4)
        self.plain = self.rows_of(self.raw)

    def __repr__(self) -> str:
        return "World()"

    def rows_of(self, raw: RawSpectra, rows: Any = range(STARS)) -> Any:
        """Rows of a catalogue of some stars, fitted in a batch of four."""
        some = raw.take(list(rows))
        posterior = fit(some, self.emulator, sampler=Map(draws=100), batch=STARS)
        part = Part(
            survey=some.survey,
            key="TARGETID",
            columns=some.columns,
            vrad=some.vrad,
            vrad_err=some.vrad_err,
            ebv=some.ebv,
            snr=np.ones((len(some), 2)),
            posterior=posterior,
        )
        return make_catalogue(part)


@pytest.fixture(scope="module")
def world(survey: Any) -> World:
    return World(survey)


def same(one: Any, other: Any) -> bool:
    return all(
        abs(one[name] - other[name]) <= SLACK * other[f"{name.split('_')[0]}_ERR"]
        for name in LABEL
    )


def both(body: Callable[..., None], **strategies: Any) -> tuple[Any, Any]:
    """The property with a few examples, and as a slow test with 500."""

    def test(examples: int) -> Any:
        # a fresh function each time: hypothesis decorates in place
        def run(world: World, **drawn: Any) -> None:
            body(world, **drawn)

        quiet = settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        return quiet(given(**strategies)(run))

    return test(FEW), pytest.mark.slow(test(MANY))


pixel = st.integers(0, 749)
value = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, -1e30, 1e-30, 5.0])
fault = st.one_of(
    st.tuples(st.just("flux"), st.integers(0, 1), pixel, st.integers(1, 400), value),
    st.tuples(st.just("ivar"), st.integers(0, 1), pixel, st.integers(1, 400), value),
    st.tuples(st.just("arm"), st.integers(0, 1), st.sampled_from(["flux", "ivar"]), value),
    st.tuples(st.just("vrad"), st.sampled_from([np.nan, np.inf, 1e6, -2000.0, 1499.0, 300.0])),
    st.tuples(st.just("vrad_err"), st.sampled_from([np.nan, np.inf, 0.0, -1.0, 1e6])),
    st.tuples(st.just("scale"), st.sampled_from([1e-12, 1e-3, 1e6, 1e12, -1.0])),
    st.tuples(st.just("one pixel"), st.integers(0, 1), pixel),
)


def broken(raw: RawSpectra, star: int, faults: list[tuple[Any, ...]]) -> RawSpectra:
    """The spectra with faults put into one star."""
    arms = [replace(a, flux=a.flux.copy(), ivar=a.ivar.copy()) for a in raw.arms]
    vrad, error = raw.vrad.copy(), raw.vrad_err.copy()
    for kind, *values in faults:
        if kind in ("flux", "ivar"):
            arm, first, length, number = values
            getattr(arms[arm], kind)[star, first : first + length] = number
        elif kind == "arm":
            arm, which, number = values
            getattr(arms[arm], which)[star] = number
        elif kind == "vrad":
            vrad[star] = values[0]
        elif kind == "vrad_err":
            error[star] = values[0]
        elif kind == "scale":
            for arm in arms:
                arm.flux[star] *= values[0]
                arm.ivar[star] /= values[0] ** 2
        else:
            keep = arms[values[0]].ivar[star, values[1]]
            for arm in arms:
                arm.ivar[star] = 0
            arms[values[0]].ivar[star, values[1]] = keep
    return replace(raw, arms=tuple(arms), vrad=vrad, vrad_err=error)


def a_broken_star_has_a_row_and_leaves_the_others_alone(
    world: World, star: int, faults: list[tuple[Any, ...]]
) -> None:
    plain = world.plain
    with np.errstate(over="ignore"):
        raw = broken(world.raw, star, faults)
    table = world.rows_of(raw)
    assert table["TARGETID"].tolist() == list(range(STARS))
    for row, before in zip(table, plain, strict=True):
        warn = int(row["WARN"])
        if row["TARGETID"] != star:
            assert same(row, before) and warn == before["WARN"]
        elif not warn:
            assert np.isfinite([row[name] for name in LABEL]).all() and row["TEFF_ERR"] > 0
        elif warn & int(FATAL | WARN.LABEL_EDGE):
            assert np.isnan(row["TEFF"])


test_broken_star, test_broken_star_500 = both(
    a_broken_star_has_a_row_and_leaves_the_others_alone,
    star=st.integers(0, STARS - 1),
    faults=st.lists(fault, min_size=1, max_size=3),
)


def masked_pixels_may_hold_anything(
    world: World, holes: list[tuple[int, int, int]], garbage: float
) -> None:
    arms = [replace(a, flux=a.flux.copy(), ivar=a.ivar.copy()) for a in world.raw.arms]
    for arm, first, length in holes:
        arms[arm].ivar[:, first : first + length] = 0
    clean = world.rows_of(replace(world.raw, arms=tuple(arms)))
    for arm, first, length in holes:
        arms[arm].flux[:, first : first + length] = garbage
    filled = world.rows_of(replace(world.raw, arms=tuple(arms)))
    for name in (*LABEL, "CHI2", "NPIX"):
        np.testing.assert_array_equal(filled[name], clean[name])
    lost = ~np.isfinite(garbage) * int(WARN.NONFINITE_INPUT)
    np.testing.assert_array_equal(filled["WARN"] & ~lost, clean["WARN"] & ~lost)


test_masked_pixels, test_masked_pixels_500 = both(
    masked_pixels_may_hold_anything,
    holes=st.lists(
        st.tuples(st.integers(0, 1), pixel, st.integers(1, 60)), min_size=1, max_size=5
    ),
    garbage=value,
)


def number_format_order_and_company_do_not_matter(
    world: World, kind: str, rows: list[int]
) -> None:
    plain = world.plain
    arms = tuple(
        replace(a, flux=a.flux.astype(kind), ivar=a.ivar.astype(kind), wave=a.wave.astype(">f8"))
        for a in world.raw.arms
    )
    table = world.rows_of(replace(world.raw, arms=arms), rows)
    assert table["TARGETID"].tolist() == rows
    for row in table:
        assert same(row, plain[int(row["TARGETID"])])


test_formats, test_formats_500 = both(
    number_format_order_and_company_do_not_matter,
    kind=st.sampled_from(["<f4", ">f4", "<f8", ">f8"]),
    rows=st.lists(st.integers(0, STARS - 1), min_size=1, max_size=STARS, unique=True),
)


def test_arms_may_come_in_any_order(world: World) -> None:
    table = world.rows_of(replace(world.raw, arms=world.raw.arms[::-1]))
    for row, before in zip(table, world.plain, strict=True):
        assert same(row, before)
        assert abs(row["LSF_B"] - before["LSF_B"]) < 1e-3
