"""The catalogue of a run, as a table and as a FITS file."""
