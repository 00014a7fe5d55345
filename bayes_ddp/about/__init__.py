"""What things are (``bayes-ddp info``) and the reference pages made of the package's tables."""

from bayes_ddp.about.files import describe
from bayes_ddp.about.pages import write_pages

__all__ = ["describe", "write_pages"]
