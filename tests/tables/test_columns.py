"""The record of a column: one for the catalogue, the mock and orbits."""

import numpy as np
import pytest
from astropy import units as u

from bayes_ddp.catalog.columns import COLUMNS, column_of, table_column
from bayes_ddp.galaxy.columns import ORBIT_COLUMNS
from bayes_ddp.galaxy.engines import make_engine
from bayes_ddp.galaxy.frames import Cylindrical
from bayes_ddp.galaxy.orbit import orbit_integrals
from bayes_ddp.galaxy.preset import GALPY2014
from bayes_ddp.labels import LABELS
from bayes_ddp.mock.files import FILES
from bayes_ddp.tables.columns import Column

MOCK = [
    field.column for tables in FILES.values() for fields in tables.values() for field in fields
]
"""Every column of the mock's files."""


@pytest.mark.parametrize("row", LABELS, ids=lambda row: row.name)
def test_column_of_a_label_has_its_unit_and_ucd(row):
    kind = Column(
        "{label}_ERR", "{unit}", ucd="stat.stdev;{ucd}", description="of {text}", scope="label"
    )
    assert kind.named(row.name) == Column(
        f"{row.column}_ERR",
        row.unit,
        ucd=f"stat.stdev;{row.ucd}",
        description=f"of {row.description}",
        scope="label",
    )


def test_column_of_an_arm_has_its_name():
    kind = Column("SNR_{arm}", ucd="stat.snr", description="S/N, arm {arm}", scope="arm")
    named = Column("SNR_B", ucd="stat.snr", description="S/N, arm B", scope="arm")
    assert kind.named("b") == named


def test_unknown_label_is_named_in_the_error():
    with pytest.raises(KeyError, match="'xx_fe' is no label"):
        Column("{label}", scope="label").named("xx_fe")


def test_every_table_has_columns_of_the_one_record():
    assert all(type(column) is Column for column in (*COLUMNS, *ORBIT_COLUMNS, *MOCK))


def test_units_and_descriptions_are_what_fits_and_astropy_take():
    plain = [column for column in COLUMNS if column.unit != "{unit}"]
    for column in (*plain, *ORBIT_COLUMNS, *MOCK):
        u.Unit(column.unit)  # raises for an unknown unit
        assert column.description.isascii() and len(column.description) <= 68, column


def test_orbit_has_the_quantities_of_its_columns():
    star = Cylindrical(*(np.array([x]) for x in (8.0, 0.0, 0.1, 10.0, 200.0, 5.0)))
    found = orbit_integrals(star, GALPY2014, make_engine())
    assert {column.name.lower() for column in ORBIT_COLUMNS} <= set(found)
    assert np.isclose(found["j_phi"][0], 1600)


@pytest.mark.parametrize(
    "column",
    [
        Column("A", "km / s", "f8", ucd="phys.veloc", description="a speed"),
        Column("B", "", "i4"),
        Column("C", "dex", "f4", description="an abundance"),
    ],
    ids=lambda column: column.name,
)
def test_column_survives_a_round_trip_through_astropy(column):
    values = np.arange(3).astype(column.dtype)
    assert column_of(table_column(column, values)) == column
    np.testing.assert_array_equal(table_column(column, values), values)
