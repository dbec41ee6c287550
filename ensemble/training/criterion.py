"""The loss of a member as one number: the mean over rows, and over heads where the network has several."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ensemble.data.dataset import Dataset
from ensemble.members.plan import MemberPlan
from ensemble.members.resampling import head_counts
from ensemble.training.losses import loss_function
from ensemble.training.rows import to_device


class Criterion:
    """Σ_h mean_i c_hi · loss(output_hi, y_i): with one head simply the mean over rows.

    c_hi is how often head h drew row i; all ones without a bootstrap. The sum over heads gives each head the gradient
    it would have alone; the trunk scales its share down by the number of heads.
    """

    def __init__(self, plan: MemberPlan, data: Dataset, device: torch.device) -> None:
        self._loss = loss_function(plan.train.loss)
        self._heads = plan.net.heads
        counts = head_counts(plan, data.train)
        self._counts: Tensor | None = None
        if counts is not None:
            by_row = np.zeros((len(data.x), self._heads), dtype=np.float32)
            by_row[data.train] = counts.T
            self._counts = torch.from_numpy(by_row).to(device)

    def training_loss(self, outputs: Tensor, targets: Tensor, index: NDArray[np.int64]) -> Tensor:
        """What is differentiated; ``index`` names the rows of the batch in the data set."""
        if self._heads == 1:
            return self._loss(outputs, targets).mean()
        losses = self._by_head(outputs, targets)
        if self._counts is None:
            return losses.mean(dim=0).sum()
        return (losses * self._counts[to_device(index, losses.device)]).mean(dim=0).sum()

    def validation_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean over rows and heads, each row counted once."""
        if self._heads == 1:
            return self._loss(outputs, targets).mean()
        return self._by_head(outputs, targets).mean()

    def _by_head(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """``(rows, heads)``."""
        losses = [self._loss(outputs[:, head], targets) for head in range(self._heads)]
        if losses[0].ndim == 0:
            return torch.stack(losses)[None]
        return torch.stack(losses, dim=1)
