"""Comparison of a catalogue with another table: offset, scatter and trend per label.

``run.compare`` takes two files and an ``options.Choice`` and gives a ``report.ComparisonTable``.
This module imports nothing, so that the command line can read its options quickly.
"""
