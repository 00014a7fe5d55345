"""Label priors: the density that an emulator was trained on, or what the run file says."""

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
