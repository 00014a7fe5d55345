"""Whatever is in the pixels, a star gets one row: finite labels or a bit, the others untouched.

Property tests (hypothesis) on the small survey, from raw spectra to catalogue rows. The long runs
of 500 examples are slow tests; the same bodies run with a few examples every time.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayes_ddp.config import EmulatorChoice, Input, Run
from bayes_ddp.flags import FATAL, WARN
from bayes_ddp.inference.checks import trained_density
from bayes_ddp.inference.laplace import Map
from bayes_ddp.pipeline import run as pipeline
from bayes_ddp.spectra.raw import RawArm, RawSpectra

STARS, FEW, MANY = 4, 15, 500
SLACK = 1e-3
"""Errors by which results may differ for the order of sums."""
LABEL = ("TEFF_P50", "LOGG_P50", "FEH_P50", "TEFF_ERR")


@pytest.fixture(scope="module")
def setup(survey: Any, blank_spectrum: Any, desi_card: dict[str, Any]) -> pipeline.Setup:
    """A run of four stars of S/N 60 on two short arms."""
    truth = survey.typical([4700, 5200, 5800, 6400], [2.5, 4.5, 4.3, 4.1], [-0.5, 0, -1, -0.3])
    spectrum = survey.paint(truth, blank_spectrum(STARS), 3)
    noise = np.random.default_rng(4).standard_normal(spectrum.flux.shape) / 60
    slope = np.linspace(0.8, 1.3, spectrum.wave.size) * 17.0
    flux = ((spectrum.flux + noise) * slope).astype(np.float32)
    ivar = np.broadcast_to((60 / slope) ** 2, flux.shape).astype(np.float32)
    arms = tuple(
        RawArm(name, spectrum.wave[a:b], flux[:, a:b], ivar[:, a:b], spectrum.fwhm[:, a:b])
        for name, a, b in spectrum.arms
    )
    raw = RawSpectra(
        survey="desi",
        arms=arms,
        vrad=np.zeros(STARS),
        vrad_err=np.ones(STARS),
        ebv=np.zeros(STARS),
        warn=np.zeros(STARS, np.int64),
        key=("TARGETID",),
        columns={"TARGETID": np.arange(STARS)},
    )
    run = Run(input=Input("desi", ("x",)), emulator=EmulatorChoice("x"), sampler=Map(draws=100))
    trained = trained_density(survey.prior.space, desi_card["density"])
    return pipeline.Setup(run, raw, survey.problem, {"physics_only": True}, trained)


def rows_of(setup: pipeline.Setup, raw: RawSpectra, rows: Any = range(STARS)) -> Any:
    """Catalogue rows of some stars, fitted in a batch of four."""
    changed, rows = replace(setup, raw=raw), np.array(rows)
    result, warn = pipeline.fit_chunk(changed, rows, STARS)
    return pipeline._rows(changed, rows, replace(result, warn=warn))


class World:
    """The run and its catalogue before anything is broken; hypothesis prints its name only."""

    def __init__(self, setup: pipeline.Setup) -> None:
        self.setup, self.plain = setup, rows_of(setup, setup.raw)

    def __repr__(self) -> str:
        return "World()"


@pytest.fixture(scope="module")
def world(setup: pipeline.Setup) -> World:
    return World(setup)


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
    for kind, *told in faults:
        if kind in ("flux", "ivar"):
            arm, first, length, number = told
            getattr(arms[arm], kind)[star, first : first + length] = number
        elif kind == "arm":
            arm, which, number = told
            getattr(arms[arm], which)[star] = number
        elif kind == "vrad":
            vrad[star] = told[0]
        elif kind == "vrad_err":
            error[star] = told[0]
        elif kind == "scale":
            for arm in arms:
                arm.flux[star] *= told[0]
                arm.ivar[star] /= told[0] ** 2
        else:
            keep = arms[told[0]].ivar[star, told[1]]
            for arm in arms:
                arm.ivar[star] = 0
            arms[told[0]].ivar[star, told[1]] = keep
    return replace(raw, arms=tuple(arms), vrad=vrad, vrad_err=error)


def a_broken_star_has_a_row_and_leaves_the_others_alone(
    world: World, star: int, faults: list[tuple[Any, ...]]
) -> None:
    setup, plain = world.setup, world.plain
    with np.errstate(over="ignore"):
        raw = broken(setup.raw, star, faults)
    table = rows_of(setup, raw)
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
    setup = world.setup
    arms = [replace(a, flux=a.flux.copy(), ivar=a.ivar.copy()) for a in setup.raw.arms]
    for arm, first, length in holes:
        arms[arm].ivar[:, first : first + length] = 0
    clean = rows_of(setup, replace(setup.raw, arms=tuple(arms)))
    for arm, first, length in holes:
        arms[arm].flux[:, first : first + length] = garbage
    filled = rows_of(setup, replace(setup.raw, arms=tuple(arms)))
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
    setup, plain = world.setup, world.plain
    arms = tuple(
        replace(a, flux=a.flux.astype(kind), ivar=a.ivar.astype(kind), wave=a.wave.astype(">f8"))
        for a in setup.raw.arms
    )
    table = rows_of(setup, replace(setup.raw, arms=arms), rows)
    assert table["TARGETID"].tolist() == rows
    for row in table:
        assert same(row, plain[int(row["TARGETID"])])


test_formats, test_formats_500 = both(
    number_format_order_and_company_do_not_matter,
    kind=st.sampled_from(["<f4", ">f4", "<f8", ">f8"]),
    rows=st.lists(st.integers(0, STARS - 1), min_size=1, max_size=STARS, unique=True),
)


def test_arms_may_come_in_any_order(world: World, survey: Any) -> None:
    setup, plain = world.setup, world.plain
    from bayes_ddp.inference.problem import make_problem
    from bayes_ddp.spectra.prepare import prepare

    turned = replace(setup.raw, arms=setup.raw.arms[::-1])
    first, _ = prepare(turned.take(np.arange(1)))
    problem = make_problem(first, survey.emulator, survey.prior)
    table = rows_of(replace(setup, problem=problem), turned)
    for row, before in zip(table, plain, strict=True):
        assert same(row, before)
        assert abs(row["LSF_B"] - before["LSF_B"]) < 1e-3
