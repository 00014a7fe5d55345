"""The command ``train --correct``: a model of computed spectra corrected on labelled stars."""

from bayes_ddp.commands.correct.learn import correct_model
from bayes_ddp.commands.correct.settings import load_settings

__all__ = ["correct_model", "load_settings"]
