"""What the catalogue holds: ``COLUMNS``, the one table of names, units, UCDs and descriptions.

A new column is a row here and its values in ``table._values``. Descriptions fit on one FITS card.
"""

from dataclasses import dataclass, replace

from bayes_ddp.labels import label

__all__ = ["COLUMNS", "Column"]


@dataclass(frozen=True)
class Column:
    """One column, or one kind of column, of the catalogue.

    scope : ``input`` where the reader gives it, ``label`` for each label, ``limit`` for each label
        that can be undetected, ``arm`` for each arm, ``sampled`` where the sampler reports it,
        else ``star``. ``{label}`` and ``{arm}`` in the texts are filled in.
    """

    name: str
    unit: str
    dtype: str
    ucd: str
    description: str
    scope: str = "star"

    def named(self, name: str) -> "Column":
        """The column of one label or one arm."""
        if self.scope == "arm":
            texts = {"arm": name.upper(), "text": "", "unit": "", "ucd": ""}
        else:
            row = label(name)
            texts = {"label": row.column, "unit": row.unit, "ucd": row.ucd}
            texts["text"] = row.description
        filled = {f: getattr(self, f).format(**texts) for f in ("name", "unit", "ucd")}
        return replace(self, **filled, description=self.description.format(**texts))


COLUMNS = (
    Column("TARGETID", "", "i8", "meta.id;meta.main", "DESI target identifier", "input"),
    Column("OBSID", "", "i8", "meta.id;meta.main", "LAMOST observation, -1 if unknown", "input"),
    Column("SPECID", "", "U", "meta.id", "identifier of the spectrum; its draws have it", "input"),
    Column("NAME", "", "U", "meta.id;meta.main", "name of the star in its table", "input"),
    Column("SURVEY", "", "U", "meta.id", "part of the survey", "input"),
    Column("PROGRAM", "", "U", "meta.id", "program of the survey", "input"),
    Column("HEALPIX", "", "i8", "pos.healpix", "HEALPix pixel of the file", "input"),
    Column("TILEID", "", "i8", "meta.id", "tile of the coadd or exposure, -1 if none", "input"),
    Column("NIGHT", "", "i8", "time.epoch", "night of the exposure, YYYYMMDD, else -1", "input"),
    Column("EXPID", "", "i8", "meta.id;obs.exposure", "exposure, -1 for a coadd", "input"),
    Column("PETAL_LOC", "", "i8", "meta.id;instr", "petal, 0 to 9, -1 if unknown", "input"),
    Column("FIBER", "", "i8", "meta.id;instr", "fibre, 0 to 4999, -1 if unknown", "input"),
    Column("SRCFILE", "", "U", "meta.id;meta.file", "name of the input file", "input"),
    Column("TARGET_RA", "deg", "f8", "pos.eq.ra;meta.main", "right ascension, J2000", "input"),
    Column("TARGET_DEC", "deg", "f8", "pos.eq.dec;meta.main", "declination, J2000", "input"),
    Column("REF_EPOCH", "yr", "f8", "time.epoch", "epoch of TARGET_RA and TARGET_DEC", "input"),
    Column("SPECTYPE", "", "U", "src.class", "spectral type given by the survey", "input"),
    Column("SUBCLASS", "", "U", "src.spType", "subtype given by the survey", "input"),
    Column("SUBTYPE", "", "U", "src.spType", "redrock template of that type", "input"),
    Column("ZWARN", "", "i8", "meta.code.qual", "redrock warnings, -1 without a row", "input"),
    Column("EBV", "mag", "f8", "phot.color.excess", "E(B-V) given by the survey", "input"),
    Column("COADD_FIBERSTATUS", "", "i8", "meta.code.qual", "fibre flags of the survey", "input"),
    Column("RVS_WARN", "", "i8", "meta.code.qual",
           "flags of the velocity catalogue, -1 without a row", "input"),
    Column("PRIMARY", "", "bool", "meta.code",
           "the velocity catalogue's row is its best of this target", "input"),
    *(
        Column(f"{part}MWS_TARGET", "", "i8", "meta.code",
               f"Milky Way Survey target bits{of}, 0 if none", "input")
        for part, of in (("", ""), ("SV1_", " of SV1"), ("SV2_", " of SV2"), ("SV3_", " of SV3"))
    ),
    Column("SOURCE_ID", "", "i8", "meta.id.cross", "Gaia source, -1 if unknown", "input"),
    Column("REF_CAT", "", "U", "meta.id;meta.dataset",
           "origin of SOURCE_ID and astrometry: G2 Gaia DR2, G3 DR3", "input"),
    *(
        Column(f"{name}{end}", unit, "f8", f"{stat}{ucd}", f"{text}{more}", "input")
        for name, unit, ucd, text in (
            ("PARALLAX", "mas", "pos.parallax", "parallax"),
            ("PMRA", "mas/yr", "pos.pm;pos.eq.ra", "proper motion in RA times cos(Dec)"),
            ("PMDEC", "mas/yr", "pos.pm;pos.eq.dec", "proper motion in Dec"),
        )
        for end, stat, more in (("", "", ""), ("_ERROR", "stat.error;", ", standard error"))
    ),
    *(
        Column(f"FLUX_{band}", "", "f8", "phot.flux;em.opt",
               f"Legacy Surveys flux in {band.lower()}, nanomaggies, not dereddened", "input")
        for band in "GRZ"
    ),
    *(
        Column(f"FLUX_IVAR_{band}", "", "f8", "stat.weight;phot.flux;em.opt",
               f"inverse variance of FLUX_{band}, 1 / nanomaggies squared", "input")
        for band in "GRZ"
    ),
    *(
        Column(f"SN_{b}", "", "f8", "stat.snr", f"signal to noise in {b.lower()}, survey", "input")
        for b in "BUGRIZ"
    ),
    Column("{label}", "{unit}", "f8", "{ucd}", "{text}; NaN if undetected", "label"),
    Column("{label}_ERR", "{unit}", "f8", "stat.stdev;{ucd}", "standard deviation", "label"),
    Column("{label}_SYS", "{unit}", "f8", "stat.error.sys;{ucd}",
           "error of the model in stars of this kind, not in _ERR", "label"),
    Column("{label}_P16", "{unit}", "f8", "stat.value;{ucd}", "16 % quantile", "label"),
    Column("{label}_P50", "{unit}", "f8", "stat.value;{ucd}", "median", "label"),
    Column("{label}_P84", "{unit}", "f8", "stat.value;{ucd}", "84 % quantile", "label"),
    Column("{label}_INFO", "", "f8", "stat.value;{ucd}",
           "1 - variance of posterior / variance of prior", "label"),
    Column("{label}_UL95", "{unit}", "f8", "stat.value;{ucd}",
           "95 % quantile, the limit where the flag is 1", "limit"),
    Column("{label}_FLAG", "", "u1", "meta.code;{ucd}",
           "0 detected, 1 upper limit, 2 prior, 3 out of range, 255 no fit", "limit"),
    Column("LABEL_COV", "", "f8", "stat.covariance",
           "lower triangle, row by row, labels as in LABEL01, LABEL02..."),
    Column("CHI2", "", "f8", "stat.fit.chi2", "chi2 at the best fit"),
    Column("NPIX", "", "i4", "meta.number", "pixels in the fit"),
    Column("CHI2_RED", "", "f8", "stat.fit.chi2", "CHI2 / NPIX"),
    Column("SNR_{arm}", "", "f8", "stat.snr", "median flux * sqrt(ivar), arm {arm}", "arm"),
    Column("VRAD_IN", "km/s", "f8", "spect.dopplerVeloc.opt", "velocity from the survey"),
    Column("VRAD_FIT", "km/s", "f8", "spect.dopplerVeloc.opt", "velocity fitted with the labels"),
    Column("VRAD_ERR", "km/s", "f8", "stat.stdev;spect.dopplerVeloc.opt",
           "standard deviation of VRAD_FIT"),
    Column("LSF_{arm}", "", "f8", "instr.det.psf", "fitted factor on the LSF, arm {arm}", "arm"),
    Column("RHAT_MAX", "", "f8", "stat.fit.goodness",
           "largest R-hat of a label; NaN if no chains ran", "sampled"),
    Column("ESS_MIN", "", "f8", "stat.fit.goodness",
           "least effective number of draws of a label", "sampled"),
    Column("PARETO_K", "", "f8", "stat.fit.goodness",
           "Pareto k of importance weights; above 0.5 chains took over", "sampled"),
    Column("DIVERGENCES", "", "i4", "meta.number", "divergent transitions", "sampled"),
    Column("WARN", "", "i8", "meta.code.qual", "warning bits, see WARNB00, WARNB01..."),
)  # fmt: skip
"""Every column that is not the user's own, in the order of the file."""
