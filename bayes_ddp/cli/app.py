"""The application, the options that commands share, and start and end of every command."""

import json
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import App, Parameter

from bayes_ddp.commands.streams import run_command
from bayes_ddp.commands.terminal import plain
from bayes_ddp.files.errors import InputWarning

__all__ = ["Json", "Quiet", "app", "main", "print_figures", "print_message", "start_jax"]

app = App(
    name="bayes-ddp",
    help="Posteriors of stellar labels (Teff, logg, vmic, [Fe/H], eleven [X/Fe]) from survey "
    "spectra.\n\nStart with: bayes-ddp demo\n\nYour own spectra: bayes-ddp fit "
    "--spectra spec-*.fits --emulator lamost --output OUT\n\nEverything a run can do: a "
    "run file (bayes-ddp run --help).",
    help_format="plaintext",
    default_parameter=Parameter(negative_iterable=(), negative_bool=()),
)

Json = Annotated[
    bool, Parameter(name="--json", negative="", help="Print the figures as one JSON object.")
]

Quiet = Annotated[bool, Parameter(negative="", help="Show no progress.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; one sentence and exit status 1 for anything the user can mend.

    arguments : those of the process by default.
    """
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    run_command(lambda: app(arguments))


def _show_warning(message: Warning | str, category: type[Warning], *source: Any) -> None:
    """Print a warning on an input as one sentence, other warnings with their source line."""
    if issubclass(category, InputWarning):
        print(f"bayes-ddp: warning: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, *source[:2]), file=sys.stderr, end="")


def start_jax() -> None:
    """Switch float64 and the compile cache on, before the first array is made."""
    import jax

    jax.config.update("jax_enable_x64", True)
    cache = os.environ.get("BAYES_DDP_CACHE")
    if cache:
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def print_figures(figures: dict[str, Any], text: str, as_json: bool) -> None:
    """Print ``figures`` as one JSON object, or ``text``."""
    print(json.dumps(plain(figures), allow_nan=False) if as_json else text)


def print_message(text: str) -> None:
    """Print a line about progress to stderr."""
    print(text, file=sys.stderr, flush=True)
