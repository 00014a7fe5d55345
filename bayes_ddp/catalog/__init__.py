"""Posteriors of a run -> one catalogue, as a table and as a FITS file."""
