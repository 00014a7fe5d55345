"""A run is a list of tasks, each one input file or at most ``TASK_ROWS`` of its rows.

Tasks are independent. Small ones are computed in groups, so that files with one star each fill a
batch; the result of a star does not depend on the group.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bayes_ddp.config import Run
from bayes_ddp.spectra.surveys import find_survey

__all__ = ["TASK_ROWS", "Task", "groups", "plan"]

TASK_ROWS = 512
"""Largest number of rows in a task, and of stars in a group of tasks."""


@dataclass(frozen=True)
class Task:
    """Rows ``start`` to ``stop`` (exclusive) of one input file."""

    path: Path
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def plan(run: Run, *, rows: int = TASK_ROWS) -> list[Task]:
    """The tasks of a run, in the order of its files.

    rows : largest number per task. Only headers are read to count the rows of a file.

    Raises BadFileError for a file that cannot be opened.
    """
    survey = find_survey(run.input.survey)
    layout = {} if run.input.table is None else {"layout": run.input.table}
    tasks = []
    for name in run.input.spectra:
        count = survey.count(Path(name), **layout)
        starts = range(0, max(count, 1), rows)
        tasks += [Task(Path(name), start, min(start + rows, count)) for start in starts]
    return tasks


def groups(tasks: Sequence[Task], *, rows: int = TASK_ROWS) -> Iterator[list[Task]]:
    """Groups of consecutive tasks with a total of at most ``rows`` rows."""
    group: list[Task] = []
    for task in tasks:
        if group and sum(map(len, group)) + len(task) > rows:
            yield group
            group = []
        group.append(task)
    if group:
        yield group
