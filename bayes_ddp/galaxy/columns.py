"""The quantities of an orbit, which ``potential.orbits`` computes and tables contain."""

from bayes_ddp.tables.columns import Column

__all__ = ["ORBIT_COLUMNS"]

ORBIT_COLUMNS = (
    Column("J_R", "kpc km s-1", description="radial action"),
    Column(
        "J_PHI",
        "kpc km s-1",
        description="angular momentum, positive along the Sun's rotation",
    ),
    Column("J_Z", "kpc km s-1", description="vertical action"),
    Column("ENERGY", "km2 s-2", description="energy per mass, 0 at infinity"),
    Column("ECC", description="eccentricity"),
    Column("R_APO", "kpc", description="apocentre"),
    Column("R_PERI", "kpc", description="pericentre"),
    Column("Z_MAX", "kpc", description="greatest height over the plane"),
)
"""One column per quantity, in the order of the file; units as FITS writes them."""
