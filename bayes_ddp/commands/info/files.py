"""What a file, folder or model is, for ``bayes-ddp info``.

Everything is read with the readers that a run uses, so a file that can be described can be read.
Each kind gives its figures, which are plain numbers and texts, and the lines that show them.
"""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayes_ddp import config
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.commands.info.arrays import describe_arrays, holds_spectra
from bayes_ddp.commands.info.models import describe_model
from bayes_ddp.commands.info.tables import describe_csv, describe_fits_tables
from bayes_ddp.emulator.card import find_model, known_models
from bayes_ddp.files.compressed import suffix, unpacked
from bayes_ddp.files.fits import FitsFile, open_fits
from bayes_ddp.files.paths import check_file
from bayes_ddp.files.toml import to_toml
from bayes_ddp.flags import FATAL, WARN
from bayes_ddp.labels import LABELS
from bayes_ddp.spectra.desi.read import read_desi
from bayes_ddp.spectra.lamost import is_lamost, read_lamost
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.sdss import is_sdss, read_sdss
from bayes_ddp.spectra.select import arm_snr

__all__ = ["describe"]

Told = tuple[dict[str, Any], list[str]]
"""Figures of one thing and the lines that show them."""

_KINDS = (
    "a DESI coadd, redrock file or RVS catalogue, a LAMOST or SDSS spectrum, a table or arrays "
    "with wavelengths and fluxes (ECSV, FITS, npz), a table of labels (CSV, FITS), a catalogue "
    "of ours, a run file, a folder of draws or of a run's output, a model's folder or name"
)
_PROVENANCE = (
    "EMULATOR", "EMUSHA", "CALSCALE", "ABUNSCAL", "SURVEYIN", "SAMPLER", "SEED", "BDDPVER",
    "JAXVER", "NPYROVER",
)  # fmt: skip


def describe(path: str) -> tuple[dict[str, Any], str]:
    """(figures, text to print) of what ``path`` names: a file, a folder or a shipped model.

    Figures hold plain numbers and texts; None where a number is not known. Raises ValueError, with
    what can be described, for anything else; BadFileError for damaged files.
    """
    place = Path(path)
    if place.is_dir():
        figures, lines = _folder(place)
    elif place.exists():
        figures, lines = _file(check_file(path))
    else:
        try:
            folder = find_model(path)
        except ValueError:
            raise ValueError(
                f"There is no file or model '{path}'. Give {_KINDS}. Models: "
                f"{', '.join(sorted(known_models()))}."
            ) from None
        figures, lines = describe_model(folder)
    return _plain(figures), "\n".join(lines)


def _folder(folder: Path) -> Told:
    if (folder / "card.toml").is_file():
        return describe_model(folder)
    if any(folder.glob("part-*.nc")):
        return _draws(sorted(folder.glob("part-*.nc")))
    for name in ("catalogue.fits", "run.toml"):
        if (folder / name).is_file():
            return _file(folder / name)
    raise ValueError(
        f"{folder} holds neither card.toml, part-*.nc, catalogue.fits nor run.toml. Give {_KINDS}."
    )


def _file(path: Path) -> Told:
    if path.name == "card.toml":
        return describe_model(path.parent)
    if path.suffix == ".toml":
        return _run(path)
    if path.suffix == ".nc":
        return _draws([path])
    if suffix(path) in (".npz", ".ecsv"):
        return describe_arrays(path)
    if suffix(path) == ".csv":
        return describe_csv(path)
    with unpacked(path) as plain, plain.open("rb") as stream:
        is_fits = stream.read(9) == b"SIMPLE  ="
    if not is_fits:
        raise ValueError(f"{path} is none of what info describes. Give {_KINDS}.")
    return _fits(path)


def _fits(path: Path) -> Told:
    with open_fits(path) as file:
        figures, lines = _content(path, file)
        verified = sum(
            bool({"CHECKSUM", "DATASUM"} & set(file.header(i))) for i in range(len(file.names))
        )
        known = {"path": str(path), "hdus": len(file.names), "checksums_verified": verified}
    return figures | known, [*lines, f"  checksums of {verified} of {known['hdus']} HDUs verified"]


def _content(path: Path, file: FitsFile) -> Told:
    """What a FITS file is, told by the extensions it has."""
    if "CATALOGUE" in file:
        return _catalogue(path)
    if "FIBERMAP" in file and any(f"{arm}_FLUX" in file for arm in "BRZ"):
        raw = read_desi([path])
        return _spectra("DESI exposures" if "EXPID" in raw.columns else "DESI coadd", raw)
    if "REDSHIFTS" in file:
        return _velocities("redrock file", file.table("REDSHIFTS"))
    if "RVTAB" in file:
        return _velocities("RVS catalogue", file.table("RVTAB"))
    if is_lamost(file):
        return _spectra("LAMOST spectrum", read_lamost([path]))
    if is_sdss(file):
        return _spectra("SDSS spectrum", read_sdss([path]))
    told = describe_fits_tables(path, file)
    labels = told is not None and any(t["labels"] for t in told[0]["tables"].values())
    if not labels and holds_spectra(path):
        return describe_arrays(path)
    if told is not None:
        return told
    raise ValueError(
        f"{path} is a FITS file with the extensions {[n for n in file.names if n]}, which is none "
        f"of what info describes. Give {_KINDS}."
    )


def _spectra(kind: str, raw: RawSpectra) -> Told:
    """Figures of spectra as their reader gives them; velocities only where the file has them."""
    columns = raw.columns
    figures: dict[str, Any] = {"kind": kind, "spectra": len(raw)}
    for name in ("SURVEY", "PROGRAM", "HEALPIX", "TILEID", "SPECTYPE", "SUBCLASS"):
        values = sorted({str(v) for v in columns.get(name, ()) if str(v) not in ("", "-1")})
        if values:
            figures[name.lower()] = values[0] if len(values) == 1 else values
    for name in ("TARGETID", "SPECID"):
        if name in columns:
            figures[name.lower()] = [v.item() for v in columns[name][:100]]
    velocity = raw.vrad[np.isfinite(raw.vrad)]
    if len(velocity):
        figures["vrad"] = [float(velocity.min()), float(velocity.max())]
    figures["arms"] = {
        arm.name: {
            "pixels": len(arm.wave),
            "wave": [float(arm.wave[0]), float(arm.wave[-1])],
            "fwhm": float(np.median(arm.fwhm)),
            "usable": float((arm.ivar > 0).mean()) if len(raw) else None,
            "snr": _median(snr),
        }
        for arm, snr in zip(raw.arms, arm_snr(raw).values(), strict=True)
    }
    lines = [f"{kind}, {_count(len(raw), 'spectrum', 'spectra')}"]
    for name, value in figures.items():
        if name not in ("kind", "spectra", "arms", "vrad"):
            text = ", ".join(map(str, value[:8])) if isinstance(value, list) else str(value)
            more = " ..." if isinstance(value, list) and len(value) > 8 else ""
            lines.append(f"  {name}: {text}{more}")
    if len(velocity):
        low, high = figures["vrad"]
        lines.append(f"  vrad: {low:.1f} km/s" + (f" to {high:.1f} km/s" if high > low else ""))
    for name, arm in figures["arms"].items():
        snr = "none usable" if arm["snr"] is None else f"median S/N {arm['snr']:.1f}"
        lines.append(
            f"  arm {name}: {arm['wave'][0]:.0f}-{arm['wave'][1]:.0f} Å vacuum, {arm['pixels']} "
            f"pixels, {100 * (arm['usable'] or 0):.1f} % usable, FWHM {arm['fwhm']:.2f} Å, {snr}"
        )
    return figures, lines


def _velocities(kind: str, table: dict[str, np.ndarray]) -> Told:
    rows = len(table.get("TARGETID", ()))
    figures: dict[str, Any] = {"kind": kind, "rows": rows, "columns": list(table)}
    lines = [f"{kind}, {_count(rows, 'row', 'rows')}"]
    for name in ("SPECTYPE", "RR_SPECTYPE"):
        if name in table and rows:
            figures[name.lower()] = dict(Counter(map(str, table[name])))
            told = ", ".join(f"{n} {what}" for what, n in figures[name.lower()].items())
            lines.append(f"  {name}: {told}")
    for name, unit in (("Z", ""), ("VRAD", " km/s"), ("VRAD_ERR", " km/s")):
        values = np.asarray(table.get(name, ()), float)
        values = values[np.isfinite(values)]
        if len(values):
            figures[name.lower()] = [float(values.min()), float(values.max())]
            lines.append(f"  {name}: {values.min():.5g} to {values.max():.5g}{unit}")
    return figures, lines


def _catalogue(path: Path) -> Told:
    table = read_catalogue(path)
    warn = np.asarray(table["WARN"], np.int64)
    warnings = {str(bit.name): int(((warn & int(bit)) > 0).sum()) for bit in WARN}
    fatal = FATAL & ~WARN.NOT_STAR if table.meta.get("SPECSEL") == "any" else FATAL
    fitted = (warn & int(fatal | WARN.LABEL_EDGE)) == 0
    labels: dict[str, dict[str, int]] = {}
    for row in LABELS:
        if row.column in table.colnames:
            values = np.asarray(table[row.column], float)
            labels[row.name] = {"with_value": int(np.isfinite(values).sum())}
            if f"{row.column}_FLAG" in table.colnames:
                flag = np.asarray(table[f"{row.column}_FLAG"])[fitted]
                for code, what in enumerate(("detected", "upper_limit", "prior_dominated")):
                    labels[row.name][what] = int((flag == code).sum())
    figures: dict[str, Any] = {
        "kind": "catalogue",
        "rows": len(table),
        "fitted": int(fitted.sum()),
        "warnings": {name: n for name, n in warnings.items() if n},
        "labels": labels,
        "provenance": {key: table.meta[key] for key in _PROVENANCE if key in table.meta},
    }
    lines = [
        f"catalogue, {_count(len(table), 'row', 'rows')}, {figures['fitted']} with labels",
        *(f"  {n} x {name}" for name, n in figures["warnings"].items()),
        f"  {'label':8s}{'with value':>11s}{'detected':>10s}{'limit':>7s}{'prior':>7s}",
    ]
    for name, n in labels.items():
        cells = [f"{n.get(key, '-'):>{width}}" for key, width in
                 (("detected", 10), ("upper_limit", 7), ("prior_dominated", 7))]  # fmt: skip
        lines.append(f"  {name:8s}{n['with_value']:11d}{''.join(cells)}")
    lines += [f"  {key}: {value}" for key, value in figures["provenance"].items()]
    return figures, lines


def _draws(parts: list[Path]) -> Told:
    stars, draws, chains, names = 0, set(), set(), []
    for path in parts:
        try:
            with xr.open_dataset(path, engine="h5netcdf") as part:
                stars += part.sizes["star"]
                draws.add(part.sizes["draw"])
                chains.add(int(part.attrs.get("chains", 1)))
                names = [str(name) for name in part["param"].values]
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"{path} is no part of a run's draws ({str(error).splitlines()[0]}). Run again: "
                "damaged parts are made afresh."
            ) from None
    figures = {"kind": "draws", "parts": len(parts), "stars": stars, "draws": sorted(draws),
               "chains": sorted(chains), "labels": names}  # fmt: skip
    number = "/".join(map(str, sorted(draws)))
    in_chains = "/".join(map(str, sorted(chains)))
    return figures, [
        f"posterior draws, {_count(stars, 'star', 'stars')} in "
        f"{_count(len(parts), 'file', 'files')}",
        f"  {number} draws a star in {in_chains} chains of {', '.join(names)}",
        "  read with bayes_ddp.inference.posterior.read_draws(FOLDER)",
    ]


def _run(path: Path) -> Told:
    try:
        keys = set(tomllib.loads(path.read_text()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML: {error}.") from None
    if "input" not in keys:
        raise ValueError(f"{path} is TOML, but no run file: it has no [input]. Give {_KINDS}.")
    run = config.load(path)
    output = Path(run.output.directory)
    finished = (output / "catalogue.fits").is_file()
    missing = [name for name in run.input.spectra if not Path(name).is_file()]
    table = config.as_table(run)
    figures = {"kind": "run file", "run": table, "finished": finished, "missing": missing}
    short = {name: part for name, part in table.items() if part != {}}
    spectra = table["input"]["spectra"]
    if len(spectra) > 4:
        short["input"] = table["input"] | {"spectra": [spectra[0], "...", spectra[-1]]}
    lines = [f"run file, {_count(len(spectra), 'spectrum file', 'spectrum files')}"]
    lines += [f"  {len(missing)} do not exist, the first: {missing[0]}"] if missing else []
    catalogue = f"  catalogue: {output / 'catalogue.fits'}"
    lines.append(catalogue if finished else "  not yet run to its end")
    return figures, [*lines, "", *to_toml(short).splitlines()]


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _median(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None


def _plain(value: Any) -> Any:
    """The same figures as JSON can hold them: None for NaN, plain numbers for NumPy's."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
