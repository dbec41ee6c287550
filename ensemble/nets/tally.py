"""What many predictors say of the same rows, added up as they say it: nothing is kept of a single one.

The figures are those that ``combining.predictions`` and ``evaluation.uncertainty`` compute from everything that was
said, to rounding; here on the device, in float64 from the outputs on, and in memory that does not grow with predictors.
"""

from __future__ import annotations

import torch
from torch import Tensor

LEAST = -800.0
"""Of a logit below the greatest of its row. exp(−800) is 0 in float64, and 0 times it is 0, which 0 · −∞ is not."""


class ClassTally:
    """Average, vote and entropies of predictors of classes, all of them from sums over predictors."""

    def __init__(self, rows: int, classes: int, *, device: torch.device, by_vote: bool = False) -> None:
        """
        Args:
            rows: How many rows the predictors speak of.
            classes: How many there are.
            device: Where what they say lies.
            by_vote: Whether votes are counted: the only figure that costs when it is not asked for.
        """
        # Classes before rows, so that rows lie side by side, as in what is added.
        self._probabilities = torch.zeros(classes, rows, dtype=torch.float64, device=device)
        self._entropies = torch.zeros(rows, dtype=torch.float64, device=device)
        self._weight = torch.zeros_like(self._entropies)
        self._votes = torch.zeros_like(self._probabilities) if by_vote else None

    def add(self, logits: Tensor, weights: Tensor, *, rows: slice) -> None:
        """Add what some predictors say of some rows.

        With z' = z − max z, e = exp z' and s = Σ e: p = e / s, and H[p] = ln s − Σ p z', whose parts are not negative,
        so that nothing cancels where an entropy is small.

        Args:
            logits: ``(predictors, rows, classes)``, quickest where rows lie side by side in memory.
            weights: ``(predictors,)`` float64: how often each counts.
            rows: Which of the rows they are.
        """
        z = logits.transpose(1, 2)
        if self._votes is None:
            greatest = z.amax(dim=1, keepdim=True)
        else:
            greatest, chosen = z.max(
                dim=1, keepdim=True
            )  # of equal ones the first, as argmax; that is slower here
            self._votes[:, rows].scatter_add_(0, chosen[:, 0], weights[:, None].expand(chosen[:, 0].shape))
        z = z.double().sub_(greatest.double()).clamp_(min=LEAST)
        p = z.exp()
        s = p.sum(dim=1)
        p *= (weights[:, None] / s)[:, None]
        self._probabilities[:, rows] += p.sum(dim=0)
        self._entropies[rows] += weights @ s.log_() - p.mul_(z).sum(dim=(0, 1))
        self._weight[rows] += weights.sum()

    @property
    def mean(self) -> Tensor:
        """``(rows, classes)`` p̄ = Σ w p / Σ w."""
        return (self._probabilities / self._weight).t()

    @property
    def shares(self) -> Tensor:
        """``(rows, classes)`` share of the votes each class got."""
        assert self._votes is not None, "votes were not counted"
        return (self._votes / self._weight).t()

    @property
    def elected(self) -> Tensor:
        """``(rows,)`` the class with most votes; of tied ones that of the highest mean probability, then the lowest."""
        assert self._votes is not None, "votes were not counted"
        tied = self._votes == self._votes.amax(dim=0)
        return torch.where(tied, self._probabilities, -torch.inf).max(dim=0).indices

    @property
    def total(self) -> Tensor:
        """``(rows,)`` H[p̄] in nats."""
        entropies: Tensor = torch.special.entr(self.mean)
        return entropies.sum(dim=1)

    @property
    def aleatoric(self) -> Tensor:
        """``(rows,)`` the mean of H[p] in nats."""
        return self._entropies / self._weight


class ValueTally:
    """Mean and variances of predictors of numbers: the mixture of their Gaussians, ``combining.regression_mixture``."""

    def __init__(self, rows: int, *, device: torch.device) -> None:
        """
        Args:
            rows: How many rows the predictors speak of.
            device: Where what they say lies.
        """
        self.mean = torch.zeros(rows, dtype=torch.float64, device=device)
        self._squares = torch.zeros_like(self.mean)
        self._variances = torch.zeros_like(self.mean)
        self._weight = torch.zeros_like(self.mean)
        self._stated = True

    def add(self, values: Tensor, weights: Tensor, *, rows: slice) -> None:
        """Add what some predictors say of some rows, which joins one mean and sum of squares to another.

        Chan, Golub & LeVeque (1979): δ = m_b − m;  m ← m + δ w_b / w;  S ← S + S_b + δ² w_a w_b / w.

        Args:
            values: ``(predictors, rows, 1)`` means or ``(predictors, rows, 2)`` means and variances, float64.
            weights: ``(predictors,)`` float64: how often each counts.
            rows: Which of the rows they are.
        """
        before, added = self._weight[rows].clone(), weights.sum()
        means = values[:, :, 0]
        mean = weights @ means / added
        delta = mean - self.mean[rows]
        self._weight[rows] += added
        self._squares[rows] += weights @ (means - mean) ** 2 + delta**2 * (before * added / (before + added))
        self.mean[rows] += delta * (added / (before + added))
        self._stated &= values.shape[2] == 2
        if self._stated:
            self._variances[rows] += weights @ values[:, :, 1]

    @property
    def epistemic(self) -> Tensor:
        """``(rows,)`` the variance of the means."""
        return self._squares / self._weight

    @property
    def aleatoric(self) -> Tensor | None:
        """``(rows,)`` the mean of the variances; None where predictors state none."""
        return self._variances / self._weight if self._stated else None
