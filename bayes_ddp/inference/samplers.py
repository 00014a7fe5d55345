"""The samplers a run file can name. To add one, add its class here; the protocol test finds it."""

from bayes_ddp.inference.laplace import Map
from bayes_ddp.inference.mcmc import Nuts

__all__ = ["SAMPLERS", "Map", "Nuts"]

SAMPLERS = {"map": Map, "nuts": Nuts}
"""``kind`` of the [sampler] table -> settings class; an instance called with (problem, stars,
keys) gives the Posterior of the batch."""
