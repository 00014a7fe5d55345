"""The command line: each command builds settings and calls what Python users call too.

A module of this package holds signatures and help of related commands; importing it registers
them with ``app``.
"""

from bayes_ddp.cli import calibrate, distance, fitting, models, orbits, precision, tables
from bayes_ddp.cli.app import app, main

__all__ = [
    "app",
    "calibrate",
    "distance",
    "fitting",
    "main",
    "models",
    "orbits",
    "precision",
    "tables",
]
