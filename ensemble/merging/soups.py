"""The greedy model soup (Wortsman et al. 2022, arXiv 2203.05482); the uniform one is `parameters.average`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ensemble.errors import UsageError
from ensemble.merging.parameters import Weights, average


@dataclass(frozen=True)
class Soup:
    """Averaged weights, and the indices of the networks in them, in the order in which they were taken."""

    weights: Weights
    chosen: tuple[int, ...]


def greedy(
    ingredients: Sequence[Weights], *, scores: Sequence[float], score: Callable[[Weights], float]
) -> Soup:
    """Take the networks from the best to the worst; keep one only if the average does not get worse by it.

    Args:
        ingredients: Networks of one architecture.
        scores: What each is worth alone on validation rows, higher is better; it orders them (ties: lower
        index).
        score: What a network is worth on validation rows, batch norm refreshed first where there is any. The
        best
            ingredient is scored by it too, so that like is compared with like. Not a number counts as worse.

    Raises:
        UsageError: no ingredient, not one finite score each, or networks that differ.
    """
    if not ingredients or len(scores) != len(ingredients) or not all(map(math.isfinite, scores)):
        raise UsageError(
            f"a greedy soup needs one finite score for each of at least one network, but there are "
            f"{len(ingredients)} networks with scores {list(scores)}"
        )
    first, *rest = sorted(range(len(ingredients)), key=lambda index: -scores[index])
    soup = Soup(average([ingredients[first]]), (first,))
    worth = score(soup.weights)
    for index in rest:
        chosen = (*soup.chosen, index)
        tried = average(ingredients[member] for member in chosen)
        if (value := score(tried)) >= worth:
            soup, worth = Soup(tried, chosen), value
    return soup
