"""The samplers of the run file; a new one is added to ``SAMPLERS``, which a test iterates over."""

from bayes_ddp.inference.exact import Exact
from bayes_ddp.inference.laplace import Map
from bayes_ddp.inference.nuts import Nuts

__all__ = ["SAMPLERS", "Exact", "Map", "Nuts"]

SAMPLERS = {"exact": Exact, "map": Map, "nuts": Nuts}
"""``kind`` of the table [sampler] -> settings class; an instance called with (problem, stars,
keys) returns the Posterior of the batch."""
