"""Label priors: the density of an emulator's training labels, and priors of the run file."""

from bayes_ddp.inference.prior.joint import LabelPrior
from bayes_ddp.inference.prior.single import (
    PRIORS,
    Choice,
    Fixed,
    Normal,
    TruncatedNormal,
    Uniform,
)

__all__ = ["PRIORS", "Choice", "Fixed", "LabelPrior", "Normal", "TruncatedNormal", "Uniform"]
