"""A plan's network: made, tried, filled with weights and read out again."""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor, nn

from ensemble.errors import RunError, UsageError
from ensemble.functions import is_function_path
from ensemble.members.plan import MemberPlan
from ensemble.nets.build import build_net, check_net, parameter_count
from ensemble.nets.dropout import dropout_layers, has_functional_dropout
from ensemble.nets.permutations import PermutationSpec, permutations_of
from ensemble.streams import Purpose, member_sequence, torch_seed
from ensemble.training.events import Weights
from ensemble.training.losses import loss_function
from ensemble.training.rows import to_numpy


def choose_device() -> torch.device:
    """The GPU that this process was given, else the CPU. On a GPU the same seed then gives the same bits."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    # As `use_deterministic_algorithms(True)`, which would import torch's compiler, two seconds, to set it likewise.
    torch.set_deterministic_debug_mode("error")
    # Nothing here reads memory that nobody wrote; filled first, whatever is allocated would cost a kernel more.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    # Else convolutions, and they alone, would round what is said to be float32 to ten bits.
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda")


def cuda_devices(net: nn.Module) -> list[torch.device]:
    """The GPU the network is on, for `torch.random.fork_rng`, which would else save every GPU of the machine."""
    device = next(net.parameters()).device
    return [device] if device.type == "cuda" else []


def make_net(plan: MemberPlan, device: torch.device) -> nn.Module:
    """The member's network as initialized, the same on every device."""
    seed = torch_seed(member_sequence(plan.seed, plan.index, Purpose.INIT))
    net = build_net(plan.net, shape=plan.shape, outputs=plan.outputs, seed=seed)
    if channels_last(plan):
        # torch's stubs leave out the overload that takes a memory format alone
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net.to(device)


def channels_last(plan: MemberPlan) -> bool:
    """Whether images and the network's weights lie in channels-last memory: a third faster on CPUs.

    A user's own network gets rows as they come: it may well call ``view``, which another layout breaks.
    """
    return len(plan.shape) == 3 and not is_function_path(plan.net.net)


def weights_of(net: nn.Module) -> Weights:
    """The ``state_dict`` as CPU arrays of their own."""
    return {name: to_numpy(value) for name, value in net.state_dict().items()}


def load_weights(net: nn.Module, weights: Weights) -> None:
    """Set every entry.

    Raises:
        RunError: names, shapes or types are not the network's.
    """
    given = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
    wanted = net.state_dict()
    for name in sorted({*given, *wanted}):
        there, here = (_shape(state[name]) if name in state else "nothing" for state in (given, wanted))
        if there != here:
            raise RunError(
                f"these weights are not the network's: {name!r} is {there}, and the network has {here}"
            )
    net.load_state_dict(given)


def _shape(value: Tensor) -> str:
    return f"{tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"


def permutations_of_plan(plan: MemberPlan) -> PermutationSpec:
    """Which units of the plan's network may be reordered together.

    Raises:
        UsageError: the network declares none; it is named.
    """
    return permutations_of(make_net(plan, torch.device("cpu")))


def try_network(plan: MemberPlan) -> int:
    """Build the member's network, see that it fits the data and the task, and count its parameters.

    Raises:
        UsageError: it does not fit; the message names the network, the shape it got and the one it needs.
    """
    net = make_net(plan, torch.device("cpu"))
    check_net(net, shape=plan.shape, outputs=plan.outputs, heads=plan.net.heads, name=plan.net.net)
    if plan.dropout_samples:
        check_dropout(net, plan)
    check_loss(net, plan)
    return parameter_count(net)


def check_loss(net: nn.Module, plan: MemberPlan) -> None:
    """Take the loss of two rows of zeros, so that a user's own is refused before anything starts.

    Raises:
        UsageError: it raises, or what it returns cannot be minimized.
    """
    name = plan.train.loss
    if not is_function_path(name):
        return
    targets = torch.zeros(2, dtype=torch.float32 if plan.outputs == 1 else torch.int64)
    outputs = net.eval()(torch.zeros(2, *plan.shape))
    try:
        loss = loss_function(name)(outputs[:, 0] if plan.net.heads > 1 else outputs, targets)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"loss {name} raised {type(error).__name__}: {error}; outputs were {tuple(outputs.shape)}, targets (2,)"
        ) from error
    if not loss.requires_grad or not torch.isfinite(loss).all():
        raise UsageError(
            f"loss {name} returned {loss.tolist()}, which "
            f"{'is not finite' if loss.requires_grad else 'does not depend on the outputs'}"
        )
    if loss.ndim == 0 and plan.net.heads > 1 and plan.resample == "bootstrap":
        raise UsageError(
            f"loss {name} returns a scalar; heads under bootstrap weigh rows, so it must return one value a row"
        )


def check_dropout(net: nn.Module, plan: MemberPlan) -> None:
    """See that passes with other dropout masks will differ, and will miss no dropout.

    Raises:
        UsageError: the network has no dropout module, or drops by a function, which cannot be switched from outside.
    """
    if has_functional_dropout(net, plan.shape):
        raise UsageError(
            f"dropout-samples is {plan.dropout_samples}, but net {plan.net.net} drops by a function (F.dropout or the "
            "like), which cannot be switched on for predictions; make it an nn.Dropout module"
        )
    if not any(getattr(module, "p", 0) > 0 for module in map(net.get_submodule, dropout_layers(net))):
        raise UsageError(
            f"dropout-samples is {plan.dropout_samples}, but net {plan.net.net} has no dropout; give it one with "
            "--dropout P, or leave --dropout-samples out"
        )
