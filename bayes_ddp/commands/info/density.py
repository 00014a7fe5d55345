"""A picture of the training labels of a model and of draws of its default prior."""

from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

from bayes_ddp.commands.pictures import check_picture, save
from bayes_ddp.emulator.card import find_model, load_emulator
from bayes_ddp.emulator.network import Card
from bayes_ddp.emulator.physics.library import read_pack
from bayes_ddp.inference.prior import LabelPrior
from bayes_ddp.plots.density import plot_label_density, plot_label_plane

__all__ = ["draw_density"]

_DRAWS = 20_000
_SHOWN = 2_000


def draw_density(model: str, to: Path) -> Path:
    """Draw labels of the training spectra and of the default prior of a model into a PNG.

    Raises ValueError for a name that does not end in .png and for an unknown model; OutputError if
    a file that is not ours has that name.
    """
    check_picture(to)
    emulator = load_emulator(model)
    assert emulator.card is not None
    prior = LabelPrior(emulator.space, emulator.card.density)
    draws = prior.draws(jax.random.key(0), _DRAWS)
    trained = training_labels(emulator.card)
    names = emulator.space.names
    columns = 4
    lines = -(-(len(names) + 1) // columns)
    figure = Figure(figsize=(3.3 * columns, 2.6 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    plane = [names.index("teff"), names.index("logg")]
    plot_label_plane(axes[0], trained[:, plane], draws[:_SHOWN, plane], names=("teff", "logg"))
    for ax, (i, name) in zip(axes[1:], enumerate(names), strict=False):
        ends = emulator.space.low[i], emulator.space.high[i]
        plot_label_density(ax, trained[:, i], draws[:, i], name=name, ends=ends)
    for ax in axes[len(names) + 1 :]:
        ax.set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper right", ncols=2, frameon=False, markerscale=4
    )
    return save(figure, to)


def training_labels(card: Card) -> np.ndarray:
    """[spectrum label], labels of the physical spectra on which a model was trained.

    It has no rows if the pack of physical spectra is missing or has none of them.
    """
    try:
        library = read_pack(find_model("physics-lte"))
    except ValueError:
        return np.zeros((0, len(card.table["labels"]["names"])))
    wanted = set(card.table.get("training", {}).get("names", ()))
    return library.labels[[name in wanted for name in library.names]]
