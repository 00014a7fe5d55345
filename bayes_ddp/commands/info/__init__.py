"""Descriptions of files, folders and models (``bayes-ddp info``)."""

from bayes_ddp.commands.info.files import describe

__all__ = ["describe"]
