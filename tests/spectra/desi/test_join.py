"""The join of spectra with catalogue rows agrees with an explicit loop over rows."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bayes_ddp.spectra.desi.join import GROUP, join
from bayes_ddp.tables.sky import Positions

key = st.tuples(
    st.sampled_from([-3, 7]),
    st.sampled_from(["", "sv1"]),
    st.sampled_from(["", "dark"]),
    st.sampled_from([-1, 5]),
    st.sampled_from([-1, 80613]),
)


def table_of(keys, columns=GROUP):
    kinds = {"SURVEY": "<U7", "PROGRAM": "<U7"}
    parts = list(zip(*keys, strict=True)) if keys else [()] * 5
    return {
        name: np.array(part, kinds.get(name, np.int64))
        for name, part in zip(("TARGETID", *GROUP), parts, strict=True)
        if name in ("TARGETID", *columns)
    }


def by_loop(ours, table, primary):
    """(row, doubled) of each spectrum: of rows that agree in all that both know, the one that
    knows most of what we know; then PRIMARY, unless nothing is left open; then the first."""
    names = [name for name in ("TARGETID", *GROUP) if name in table]
    rows = [tuple(table[name][i] for name in names) for i in range(len(table["TARGETID"]))]
    for i in range(len(ours["TARGETID"])):
        mine = {name: ours[name][i] for name in names}
        found = []
        for j in range(len(rows)):
            told = [n == "TARGETID" or table[n][j] not in ("", -1) for n in names]
            both = [n for n, is_told in zip(names, told, strict=True) if is_told]
            both = [n for n in both if n == "TARGETID" or mine[n] not in ("", -1)]
            if all(table[n][j] == mine[n] for n in both):
                open_ = len(both) < len(names)
                found.append((-len(both), told, open_ and not primary[j], j))
        best = min(found)[-1] if found else -1
        yield best, best >= 0 and rows.count(rows[best]) > 1


@settings(max_examples=150, deadline=None)
@given(
    ours=st.lists(key, min_size=1, max_size=6),
    rows=st.lists(st.tuples(key, st.booleans()), max_size=8),
    columns=st.sets(st.sampled_from(GROUP)),
)
def test_join_finds_what_a_loop_over_all_rows_finds(ours, rows, columns):
    table = table_of([k for k, _ in rows], columns)
    table["PRIMARY"] = np.array([p for _, p in rows], bool)
    mine = table_of(ours)
    match = join(mine, table)
    expected = list(by_loop(mine, table, table["PRIMARY"]))
    assert list(zip(match.row.tolist(), match.doubled.tolist(), strict=True)) == expected


def test_all_64_bits_of_a_target_count():
    target = 2**62 + 1
    table = table_of([(target - 1, "", "", -1, -1), (target, "", "", -1, -1)], ())
    assert join(table_of([(target, "sv1", "dark", 5, -1)]), table).row.tolist() == [1]


def test_case_of_survey_and_program_does_not_matter():
    table = table_of([(1, "SV1", "DARK", 5, -1)], ("SURVEY", "PROGRAM", "HEALPIX"))
    match = join(table_of([(1, "sv1", "dark", 5, -1)]), table)
    assert match.found.all() and match.exact.all()


placed = st.tuples(key, st.sampled_from([-1, 0, 1]))


def place_of(numbers) -> Positions:
    """Positions four arcmin apart; -1 is none."""
    number = np.array(numbers, float)
    unknown = np.full(len(number), np.nan)
    dec = np.where(number < 0, np.nan, number / 15)
    return Positions(np.zeros(len(number)), dec, unknown, unknown, unknown)


@settings(max_examples=150, deadline=None)
@given(
    ours=st.lists(placed, min_size=1, max_size=6),
    rows=st.lists(placed, min_size=1, max_size=8),
    columns=st.sets(st.sampled_from(GROUP)),
)
def test_no_spectrum_gets_the_row_of_another_place(ours, rows, columns):
    table, mine = table_of([k for k, _ in rows], columns), table_of([k for k, _ in ours])
    here, there = [p for _, p in ours], [p for _, p in rows]
    match = join(mine, table, (place_of(here), place_of(there)))
    free = join(mine, table)
    for i, row in enumerate(match.row):
        if row < 0:
            # it is only lost where places matter
            assert free.row[i] < 0 or match.elsewhere[i]
            continue
        assert mine["TARGETID"][i] == table["TARGETID"][row]
        assert here[i] == there[row] or -1 in (here[i], there[row])
        sharing = {here[j] for j in np.flatnonzero(match.row == row)} - {-1}
        assert len(sharing) <= 1
    unplaced = join(mine, table, (place_of([-1] * len(ours)), place_of([-1] * len(rows))))
    np.testing.assert_array_equal(unplaced.row, free.row)
    np.testing.assert_array_equal(unplaced.exact, free.exact)
