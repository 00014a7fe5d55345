"""The samplers a run file can name. To add one, add its class here; the protocol test finds it."""

from bayes_ddp.inference.exact import Exact
from bayes_ddp.inference.laplace import Map
from bayes_ddp.inference.nuts import Nuts

__all__ = ["SAMPLERS", "Exact", "Map", "Nuts"]

SAMPLERS = {"exact": Exact, "map": Map, "nuts": Nuts}
"""``kind`` of the [sampler] table -> settings class; an instance called with (problem, stars,
keys) gives the Posterior of the batch."""
