"""What a step changes: the weights, and in the search the architecture; a step that is not finite changes nothing."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from .config import FineTuneConfig
from .errors import UserError
from .gradients import Gradients, Sample
from .network import TrainableSam

#: So many skipped steps in a row (a loss that is not finite) end the training.
MOST_SKIPPED = 10
#: Longest gradient; a longer one is shortened.
LONGEST = 1.0


class Optimisers:
    """AdamW for the weights (Loshchilov & Hutter 2019), Adam for the architecture (as in DARTS, Liu et al. 2019).

    Parameters
    ----------
    config : FineTuneConfig
        Learning rates.
    network : TrainableSam
        What is trained.
    gradients : Gradients
        Of the network.
    warn : callable
        Gets one sentence when a step is skipped, or the training gives up.

    Attributes
    ----------
    skipped : int
        Steps in a row that were skipped.
    """

    def __init__(
        self, config: FineTuneConfig, network: TrainableSam, gradients: Gradients, warn: Callable[[str], None]
    ) -> None:
        self._config, self._network, self._gradients, self._warn = config, network, gradients, warn
        self.skipped = 0
        self._good: dict[str, Any] | None = None
        self._weights = self._of_weights()
        alphas = network.architecture_parameters()
        self._alpha = torch.optim.Adam(alphas, lr=config.alpha_lr, betas=(0.5, 0.999)) if alphas else None

    @property
    def searches(self) -> bool:
        """True when there is an architecture to train."""
        return self._alpha is not None

    def renew(self) -> None:
        """Begin anew with the weights of a network that was folded."""
        self._weights = self._of_weights()
        self.keep()

    def keep(self) -> None:
        """Keep the network as it is, for a training that gives up; also once it has another form than the one kept."""
        self._good = self._network.state()

    def set_rate(self, factor: float) -> None:
        """Set the learning rates of the weights to ``factor`` (0 to 1) of their peaks."""
        for group in self._weights.param_groups:
            group["lr"] = group["peak"] * factor

    def update_weights(self, samples: Sequence[Sample], step: int) -> float | None:
        """Update the weights in ``step`` (from 1); returns the loss, or None when the step was skipped."""
        return self._update(self._weights, samples, step)

    def update_architecture(self, samples: Sequence[Sample], step: int) -> None:
        """Update the architecture in ``step`` (from 1), if there is one."""
        if self._alpha is not None:
            self._update(self._alpha, samples, step)

    def gives_up(self, step: int) -> bool:
        """Return whether too many steps were skipped; the network is then in the last state with a finite loss.

        Raises
        ------
        UserError
            There never was one.
        """
        if self.skipped < MOST_SKIPPED:
            return False
        if self._good is None:
            raise UserError(
                "The training does not converge: the loss is never finite.",
                "Try a smaller learning rate, and look for images with broken pixels.",
            )
        self._network.load(self._good)
        self._warn(f"The training ended after step {step}: the loss stayed not finite.")
        return True

    def state(self) -> dict[str, Any]:
        """Return the states of both, for :meth:`load`; not a copy."""
        alpha = {"alpha": self._alpha.state_dict()} if self._alpha else {}
        return {"weights": self._weights.state_dict(), "good": self._good or {}, **alpha}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state` of the same job."""
        self._weights.load_state_dict(state["weights"])
        self._good = state["good"] or None
        self._load_alpha(state)

    def place(self) -> dict[str, Any]:
        """Return what a step changes before it is through, for :meth:`return_to`."""
        return {"skipped": self.skipped, **({"alpha": copy.deepcopy(self._alpha.state_dict())} if self._alpha else {})}

    def return_to(self, place: dict[str, Any]) -> None:
        """Undo a step that was begun."""
        self.skipped = place["skipped"]
        self._load_alpha(place)

    def _load_alpha(self, state: dict[str, Any]) -> None:
        if self._alpha is not None:
            self._alpha.load_state_dict(state["alpha"])

    def _of_weights(self) -> torch.optim.AdamW:
        parts = (
            (self._network.projection_parameters(), self._config.adapter_lr),
            (self._network.cell_parameters(), self._config.cell_lr),
            (self._network.decoder_parameters(), self._config.decoder_lr),
        )
        groups = [{"params": parameters, "lr": peak, "peak": peak} for parameters, peak in parts if parameters]
        return torch.optim.AdamW(groups, weight_decay=1e-4)

    def _update(self, optimizer: torch.optim.Optimizer, samples: Sequence[Sample], step: int) -> float | None:
        """Update what ``optimizer`` trains; returns the loss, or None when it or the gradient is not finite."""
        trained: list[nn.Parameter] = [p for group in optimizer.param_groups for p in group["params"]]
        loss = self._gradients.add(samples, trained)
        norm = torch.nn.utils.clip_grad_norm_(trained, LONGEST)
        if not (torch.isfinite(norm) and math.isfinite(loss)):
            self.skipped += 1
            self._warn(f"Step {step} was skipped: the loss was not finite.")
            return None
        self.keep()
        optimizer.step()
        self.skipped = 0
        return loss
