"""The density of an emulator's training labels, as a smooth prior.

The table [density] of the card (``emulator.density.density_table``) defines the density from which
the labels of the training spectra were drawn. Here each label has a conditional density given the
labels before it: a mixture of uniform densities (``Boxes``) whose edges are smoothed over 1 to
2.5 % of the label's range and are placed inside the trained range, so that about 0.1 % of the
density is beyond it.

- Teff and log g are jointly uniform in the region of the table, so that the marginal density of
  Teff is proportional to the range of log g. [Fe/H] is uniform, vmic uniform about its relation.
- Alpha elements share one shift, which is summed over a few equal steps: given the elements
  before it, an element is a mixture over that shift.
- Metal-poor stars are carbon-rich with the probability of the table; C and N then have separate
  ranges. N is conditioned on C through that probability.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit

from bayes_ddp.emulator.density import usual_vmic
from bayes_ddp.inference.prior.boxes import Boxes, log_boxes_of
from bayes_ddp.labels import LabelSpace

__all__ = ["TrainedDensity"]

_EDGE, _CORE_EDGE = 0.025, 0.01
"""Width of edges as a fraction of the label's range; the second for Teff, log g and [Fe/H]."""
_INSIDE = 1.3
"""Distance of an edge inside the trained range in units of its width; 0.1 % are beyond."""
_BEYOND = 2.5
"""Distance beyond the trained range that ``box`` includes, in units of the edge's width."""
_TEFF_STEP, _TURN_TEFF, _TURN_FEH, _TURN_LOGG = 200.0, 30.0, 0.05, 0.1
_KNEE = 0.05
_SHIFTS, _BOOSTS = 8, 4


class TrainedDensity:
    """Conditional densities of the labels of one emulator.

    space : its labels. table : [density] of its card.
    """

    def __init__(self, space: LabelSpace, table: Mapping[str, Any]) -> None:
        self.space, self.table = space, table
        self.alpha = tuple(name for name in space.names if name in table["alpha_share"])
        self.most_boxes = max(self._steps(), len(self._edges_of_logg()), _SHIFTS, 2 + _BOOSTS)
        """The largest number of boxes of one conditional density."""
        self._teff_edges, self._teff_weight = self._teff_steps()

    def conditional(self, name: str, values: Mapping[str, Any]) -> Boxes:
        """Density of one label given those before it in the order of ``LabelPrior``."""
        if name == "teff":
            return self._teff()
        if name == "feh":
            return self._boxes(name, *self._range(name))
        if name == "logg":
            return self._logg(values["teff"])
        if name == "vmic":
            half = self.table["vmic_half_width"]
            middle = usual_vmic(values["teff"], values["logg"], self.table, xp=jnp)
            return self._boxes(name, middle - half, middle + half)
        if name in self.alpha:
            return self._alpha(name, values)
        if name in ("c_fe", "n_fe"):
            return self._carbon(values) if name == "c_fe" else self._nitrogen(values)
        return self._plain(name, values["feh"])

    def log_prob(self, values: Mapping[str, Any], names: Sequence[str]) -> Any:
        """Ln density of the labels ``names`` at ``values``: the product of their conditionals.

        The boxes of all labels are evaluated together. The alpha elements share their shifts, and
        C and N their two kinds of stars, so that each joint density is one sum.
        """
        if not names:
            return jnp.zeros(())
        alpha = self.alpha if set(self.alpha) <= set(names) else ()
        light = ("c_fe", "n_fe") if {"c_fe", "n_fe"} <= set(names) else ()
        single = [name for name in names if name not in (*alpha, *light)]
        laws = {name: self.conditional(name, values) for name in single}
        laws |= {name: self._shifted(name, values["feh"]) for name in alpha}
        if light:
            laws |= {"c_fe": self._carbon(values), "n_fe": self._nitrogen_boxes(jnp.zeros(()))}
        found = log_boxes_of([*laws.values()], [values[name] for name in laws])
        each = dict(zip(laws, found, strict=True))
        total = sum(
            each[n][0] if each[n].size == 1 else jax.nn.logsumexp(each[n] + laws[n].log_weight)
            for n in single
        )
        if alpha:
            total = total + jax.nn.logsumexp(sum(each[n] for n in alpha)) - np.log(_SHIFTS)
        if light:
            usual, rich = each["c_fe"] + laws["c_fe"].log_weight
            weight = self._nitrogen_weight(usual, rich, logg=values["logg"])
            total = total + jax.nn.logsumexp(each["n_fe"] + weight)
        return total

    def trend(self, name: str, feh: Any) -> Any:
        """Mean of an alpha element at this [Fe/H], dex, with smooth bends."""
        return self.table["alpha_share"][name] * self.common_trend(feh)

    def common_trend(self, feh: Any) -> Any:
        """Mean of an alpha element whose share is 1."""
        (low, high), (start, end) = self.table["alpha_feh"], self.table["alpha"]
        bend = jax.nn.softplus((feh - low) / _KNEE) - jax.nn.softplus((feh - high) / _KNEE)
        return start + (end - start) / (high - low) * _KNEE * bend

    def box(self, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) [label], the trained range extended by the width of its edges."""
        ends = np.array([self._range(name) for name in names])
        beyond = _BEYOND * np.array([self._width(name) for name in names])
        return ends[:, 0] - beyond, ends[:, 1] + beyond

    def _range(self, name: str) -> tuple[float, float]:
        index = self.space.index(name)
        return self.space.low[index], self.space.high[index]

    def _width(self, name: str) -> float:
        low, high = self._range(name)
        core = name in ("teff", "logg", "feh")
        return (_CORE_EDGE if core else _EDGE) * (high - low)

    def _boxes(self, name: str, low: Any, high: Any, *, log_weight: Any = 0.0) -> Boxes:
        """Boxes of one label, limited to its trained range."""
        first, last = self._range(name)
        width = self._width(name)
        low = jnp.maximum(low, first + _INSIDE * width)
        high = jnp.minimum(high, last - _INSIDE * width)
        return Boxes(log_weight, low, high, width=width)

    def _edges_of_logg(self) -> list[float]:
        """Upper ends of the intervals of log g between the edges of the cuts."""
        _, top = self._range("logg")
        edges = {end for cut in self.table["cuts"] for end in cut[2:]}
        return [*sorted(edge for edge in edges if edge < top), top]

    def _pieces(self, teff: Any, *, xp: Any = jnp) -> tuple[Any, Any, Any]:
        """(low, high, remaining fraction) of intervals of log g at this Teff, each [..., piece].

        The fraction decreases smoothly from 1 to 0 at the Teff where a cut begins.
        """
        sigmoid = jax.nn.sigmoid if xp is jnp else expit
        knots = xp.array(self.table["lowest_logg_teff"]), xp.array(self.table["lowest_logg"])
        lowest = xp.maximum(xp.interp(teff, *knots), self._range("logg")[0])
        edges = self._edges_of_logg()
        low = xp.stack([lowest, *(xp.broadcast_to(e, xp.shape(teff)) for e in edges[:-1])], -1)
        high = xp.broadcast_to(xp.array(edges), low.shape)
        first, last = self._range("teff")
        left = []
        for start, stop in zip([-np.inf, *edges[:-1]], edges, strict=True):
            share = xp.ones(xp.shape(teff))
            for cold, hot, bottom, top in self.table["cuts"]:
                if bottom <= start and top >= stop:
                    inside = xp.ones(xp.shape(teff))
                    if cold > first:
                        inside = inside * sigmoid((teff - cold) / _TURN_TEFF)
                    if hot < last:
                        inside = inside * sigmoid((hot - teff) / _TURN_TEFF)
                    share = share * (1 - inside)
            left.append(share)
        return low, high, xp.stack(left, axis=-1)

    def _steps(self) -> int:
        """Number of steps of the density of Teff."""
        first, last = self._range("teff")
        return round((last - first) / _TEFF_STEP)

    def _teff(self) -> Boxes:
        low, high, width = self._teff_edges[:-1], self._teff_edges[1:], self._width("teff")
        return Boxes(self._teff_weight, low, high, width=width, narrow=True)

    def _teff_steps(self) -> tuple[np.ndarray, np.ndarray]:
        """(edges, ln weights) of steps of Teff, each weighted by its range of log g."""
        first, last = self._range("teff")
        inside = _INSIDE * self._width("teff")
        edges = np.linspace(first + inside, last - inside, self._steps() + 1)
        low, high, left = self._pieces(0.5 * (edges[1:] + edges[:-1]), xp=np)
        return edges, np.log(np.sum((high - low) * left, axis=-1))

    def _logg(self, teff: Any) -> Boxes:
        low, high, left = self._pieces(teff)
        weight = jnp.log(high - low) + jnp.log(left + 1e-12)
        # edges beside an excluded interval, and the outermost ones, are moved inside
        none = jnp.zeros(1)
        inside = _INSIDE * self._width("logg")
        low = low + inside * (1 - jnp.concatenate([none, left[:-1]]))
        high = high - inside * (1 - jnp.concatenate([left[1:], none]))
        return Boxes(weight, low, high, width=self._width("logg"))

    def _plain(self, name: str, feh: Any) -> Boxes:
        """An element about its offset, which applies below a metallicity."""
        below = jax.nn.sigmoid((self.table["offset_below_feh"] - feh) / _TURN_FEH)
        middle = self.table["offset"].get(name, 0.0) * below
        half = self.table["half_width"][name]
        return self._boxes(name, middle - half, middle + half)

    def _alpha(self, name: str, values: Mapping[str, Any]) -> Boxes:
        """An alpha element: a box per step of the shift that all alpha elements share."""
        weight = jnp.zeros(_SHIFTS)
        for other in self.alpha[: self.alpha.index(name)]:
            weight = weight + self._shifted(other, values["feh"]).log_boxes(values[other])
        boxes = self._shifted(name, values["feh"])
        return Boxes(weight, boxes.low, boxes.high, width=boxes.width)

    def _shifted(self, name: str, feh: Any) -> Boxes:
        reach, share = self.table["alpha_half_width"], self.table["alpha_share"][name]
        shift = reach * ((2 * jnp.arange(_SHIFTS) + 1) / _SHIFTS - 1)
        middle, half = self.trend(name, feh) + share * shift, self.table["half_width"][name]
        return self._boxes(name, middle - half, middle + half)

    def _rich(self, feh: Any) -> Any:
        """Probability that a star of this [Fe/H] is carbon-rich."""
        poor = jax.nn.sigmoid((self.table["carbon_feh"] - feh) / _TURN_FEH)
        return self.table["carbon_fraction"] * poor

    def _carbon(self, values: Mapping[str, Any]) -> Boxes:
        half, (low, high) = self.table["half_width"]["c_fe"], self.table["carbon_c_fe"]
        rich = self._rich(values["feh"])
        weight = jnp.log(jnp.stack([1 - rich, rich + 1e-12]))
        return self._boxes(
            "c_fe", jnp.array([-half, low]), jnp.array([half, high]), log_weight=weight
        )

    def _nitrogen(self, values: Mapping[str, Any]) -> Boxes:
        """N of normal dwarfs, normal giants (in steps up to the boost) and carbon-rich stars."""
        if "c_fe" in values:
            carbon = self._carbon(values)
            usual, rich = carbon.log_boxes(values["c_fe"]) + carbon.log_weight
        else:
            usual, rich = jnp.log1p(-self._rich(values["feh"])), jnp.log(self._rich(values["feh"]))
        return self._nitrogen_boxes(self._nitrogen_weight(usual, rich, logg=values["logg"]))

    def _nitrogen_weight(self, usual: Any, rich: Any, *, logg: Any) -> Any:
        """Ln weights of the boxes of N, from those of usual and of carbon-rich stars."""
        limit = self.table["nitrogen_giant_logg"]
        giant = jax.nn.log_sigmoid((limit - logg) / _TURN_LOGG)
        dwarf = jax.nn.log_sigmoid((logg - limit) / _TURN_LOGG)
        raised = jnp.full(_BOOSTS, usual + giant - np.log(_BOOSTS))
        return jnp.concatenate([jnp.stack([usual + dwarf, rich]), raised])

    def _nitrogen_boxes(self, weight: Any) -> Boxes:
        half, (low, high) = self.table["half_width"]["n_fe"], self.table["carbon_n_fe"]
        steps = (np.arange(_BOOSTS) + 0.5) / _BOOSTS * self.table["nitrogen_giant_boost"]
        bottom, top = np.r_[-half, low, steps - half], np.r_[half, high, steps + half]
        return self._boxes("n_fe", bottom, top, log_weight=weight)
