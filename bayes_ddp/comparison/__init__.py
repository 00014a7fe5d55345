"""Is a catalogue on the scale of another one? Offset, scatter and trend, label by label.

``run.compare`` takes two files and an ``options.Choice`` and gives a ``report.ComparisonTable``.
Nothing is imported here, so that the command line can read its options without loading the rest.
"""
