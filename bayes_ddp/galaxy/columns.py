"""The quantities of an orbit as columns of tables."""

from bayes_ddp.tables.columns import Column

__all__ = ["ORBIT_COLUMNS", "PLACE_COLUMNS", "UNBOUND_COLUMNS"]

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

PLACE_COLUMNS = (
    Column("R_GUIDE", "kpc", description="radius of the circular orbit with the same J_PHI"),
    *(
        Column(name, "kpc", description=f"Galactocentric {text}")
        for name, text in (
            ("X", "place, from the Sun to the centre; Sun at -R0"),
            ("Y", "place, along the Sun's rotation"),
            ("Z", "height over the plane"),
        )
    ),
    *(
        Column(f"V_{name}", "km s-1", description=f"Galactocentric velocity along {name}")
        for name in "XYZ"
    ),
)
"""What tables of orbits have beside ``ORBIT_COLUMNS``."""

UNBOUND_COLUMNS = (
    Column("P_UNBOUND", description="share of the posterior that escapes"),
    Column("P_UNBOUND_HEAVY", description="the same in the heavier potential of card HEAVY"),
)
"""From the diagnostics of the same names."""
