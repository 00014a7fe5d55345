"""Orbits of real stars and clusters: against galpy star by star, and through draws with errors."""

import json
from pathlib import Path

import galpy
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp.flags import WARN
from bayes_ddp.galaxy.axisymmetric import milky_way_2014
from bayes_ddp.galaxy.engines import FastStaeckel
from bayes_ddp.galaxy.frames import Cylindrical, Sky, galactocentric
from bayes_ddp.galaxy.motion import astrometry_of
from bayes_ddp.galaxy.orbit import orbit_integrals
from bayes_ddp.galaxy.preset import GALPY2014
from bayes_ddp.galaxy.records import DistancePosterior
from bayes_ddp.galaxy.reference import GalpyIntegration, load_galpy
from bayes_ddp.galaxy.sampling import OrbitSettings, orbits

DRAWS = 64


def natural(star: Cylindrical) -> Cylindrical:
    """Places and velocities in units of R0 and of the circular speed."""
    r0, vc = GALPY2014.r0, GALPY2014.vc
    units = (r0, 1.0, r0, vc, vc, vc)
    return Cylindrical(*(part / unit for part, unit in zip(star, units, strict=True)))


def test_nearby_stars_of_gaia_have_the_orbits_of_galpy(data: Path) -> None:
    """4,096 stars within 100 pc with six coordinates (Gaia Collaboration 2018), one by one."""
    table = Table.read(data / "gaia_nearby_6d" / "gaia_data.fits")
    column = {name: np.asarray(table[name], float) for name in table.colnames}
    far = 1 / column["parallax"]
    sky = Sky(
        column["ra"],
        column["dec"],
        far,
        column["pmra"],
        column["pmdec"],
        column["radial_velocity"],
    )
    phase = natural(galactocentric(sky, GALPY2014))
    potential = milky_way_2014()
    focal = np.asarray(potential.focal(jnp.asarray(phase.R**2), jnp.asarray(phase.z**2)))
    found = FastStaeckel(potential).solve(phase, focal)
    library = load_galpy()
    finder = library.action_angle.actionAngleStaeckel(
        pot=library.potential.MWPotential2014, delta=0.45, c=True
    )
    args = (phase.R, phase.v_R, phase.v_phi, phase.z, phase.v_z)
    with np.errstate(all="ignore"):
        jr, lz, jz = finder(*args, delta=np.sqrt(focal))
        ecc, z_max, r_peri, r_apo = finder.EccZmaxRperiRap(*args, delta=np.sqrt(focal))
    bound = np.asarray(found.energy) < 0
    assert bound.mean() > 0.999 and np.isfinite(found.ecc[bound]).all()
    known = bound & np.isfinite(ecc) & (jr < 9999)
    assert known.sum() > 4000
    assert np.median(np.abs(found.ecc - ecc)[known]) < 1e-6
    for ours, theirs in ((found.j_r, jr), (found.j_z, jz)):
        assert np.median(np.abs(ours / theirs - 1)[known]) < 1e-6
    for ours, theirs in ((found.r_peri, r_peri), (found.r_apo, r_apo), (found.z_max, z_max)):
        # 5e-5 is 0.4 pc: galpy's pericentre of a nearly radial orbit differs by that much
        np.testing.assert_allclose(ours[known], theirs[known], rtol=1e-6, atol=5e-5)
    np.testing.assert_allclose(found.j_phi, lz, rtol=1e-12)


def clusters() -> dict[str, np.ndarray]:
    """Globular clusters that galpy ships with distances, motions and errors (see its sources)."""
    path = Path(galpy.__file__).parent / "orbit" / "named_objects.json"
    content = json.loads(path.read_text())
    names = content["_collections"]["MWglobularclusters"]
    rows = [content[name] for name in names]
    needed = (
        "ra",
        "dec",
        "distance",
        "pmra",
        "pmdec",
        "vlos",
        "distance_e",
        "vlos_e",
        "pmra_e",
        "pmdec_e",
    )
    rows = [row for row in rows if all(key in row for key in needed)]
    found = {key: np.array([row[key] for row in rows], float) for key in needed}
    found["pmcorr"] = np.array([row.get("pmcorr", 0.0) for row in rows], float)
    return found


@pytest.mark.slow
def test_globular_clusters_have_orbits_with_errors() -> None:
    """161 clusters: draws against integration of the mean, with errors; three have no error."""
    known = clusters()
    size = len(known["ra"])
    assert size > 150
    rng = np.random.default_rng(6)
    noise = rng.standard_normal((2, DRAWS, size))
    distance = DistancePosterior(
        np.arange(size).astype(str),
        np.zeros((DRAWS, size)),
        {
            "dist": np.abs(known["distance"] + known["distance_e"] * noise[0]),
            "vrad": known["vlos"] + known["vlos_e"] * noise[1],
        },
        np.zeros(size, np.int64),
    )
    table = {"ra": known["ra"], "dec": known["dec"], "pmra_pmdec_corr": known["pmcorr"]}
    for name in ("pmra", "pmdec"):
        table |= {name: known[name], f"{name}_error": known[f"{name}_e"]}
    table |= {name: np.full(size, np.nan) for name in ("parallax", "parallax_error")}
    found = orbits(distance, astrometry_of(table), OrbitSettings(check=0))
    missing = (found.warn & int(WARN.NO_ORBIT)) != 0
    np.testing.assert_array_equal(missing, np.isnan(known["distance_e"]))  # three clusters
    sky = Sky(*(known[n] for n in ("ra", "dec", "distance", "pmra", "pmdec", "vlos")))
    star = galactocentric(sky, GALPY2014)
    reference = GalpyIntegration(load_galpy().potential.MWPotential2014)
    exact = orbit_integrals(star, GALPY2014, reference)
    near = np.isfinite(exact["ecc"]) & (exact["r_apo"] < 150) & ~missing
    low, middle, high = found.quantiles("ecc", [0.16, 0.5, 0.84])
    offset = np.abs(middle - exact["ecc"])[near]
    error = 0.5 * (high - low)[near]
    print(
        f"clusters: {near.sum()} of {size} bound within 150 kpc; |e - integrated|: median "
        f"{np.median(offset):.4f}, 95 % {np.quantile(offset, 0.95):.4f}; error: median "
        f"{np.median(error):.4f}; unbound: {(found.warn & int(WARN.UNBOUND) != 0).sum()}"
    )
    assert near.sum() > 140 and (error > 0).all()
    assert np.median(offset) < 0.02  # the Staeckel approximation and the mean of the errors
    spin = np.asarray(star.R * star.v_phi)
    ends = found.quantiles("j_phi", [0.025, 0.975])
    inside = (spin > ends[0]) & (spin < ends[1])
    assert inside[~missing].mean() > 0.9  # the point estimate is the centre of what was measured
