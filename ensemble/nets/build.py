"""A network from its configuration, and the check that a network is what training needs."""

from __future__ import annotations

import traceback
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ensemble.config import NetConfig
from ensemble.errors import UsageError
from ensemble.functions import is_function_path, load_function
from ensemble.nets.convnet import convnet
from ensemble.nets.dropout import replace_dropout
from ensemble.nets.initialization import initialize
from ensemble.nets.lenet import lenet
from ensemble.nets.mlp import mlp
from ensemble.nets.modes import device_of, untouched
from ensemble.nets.resnet import resnet

NETS = {"mlp": mlp, "lenet": lenet, "convnet": convnet, "resnet": resnet}


def build_net(config: NetConfig, *, shape: tuple[int, ...], outputs: int, seed: int) -> nn.Module:
    """A network on the CPU, the same for the same ``seed``; the caller's random state is not touched.

    A network of MODULE:FUNCTION is what ``function(shape, outputs)`` returns, with the initialization it
    gives itself (torch's generator is seeded while it does); its ``nn.Dropout`` is replaced by ours. Options
    that describe the built-in networks are refused with it.

    Args:
        config: Resolved: ``net`` is a name or MODULE:FUNCTION, ``dropout`` a number.
        shape: Of one row.
        outputs: Width of the output.
        seed: Of the initialization.

    Returns:
        A network from ``(rows, *shape)`` to ``(rows, outputs)``, with heads ``(rows, heads, outputs)``.

    Raises:
        UsageError: a network that takes no such rows, or a function that raises or returns another thing.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if is_function_path(config.net):
            return _call(config, shape=shape, outputs=outputs)
        sizes: dict[str, Any] = {} if config.hidden is None else {"hidden": config.hidden}
        net = NETS[config.net](
            shape,
            outputs,
            batch_norm=config.batch_norm,
            dropout=config.dropout or 0.0,
            heads=config.heads,
            **sizes,
        )
        initialize(net, init=config.init, bias_init=config.bias_init)
        return net


def check_net(net: nn.Module, *, shape: tuple[int, ...], outputs: int, heads: int, name: str) -> None:
    """Pass two rows through ``net`` in evaluation and in training mode; it is left as it was.

    Raises:
        UsageError: it raises, has nothing to train, or does not return finite floating-point numbers of shape
            ``(2, outputs)``, with several heads ``(2, heads, outputs)``.
    """
    if parameter_count(net) == 0:
        raise UsageError(f"net {name} has no parameters that could be trained")
    needed = (2, outputs) if heads == 1 else (2, heads, outputs)
    rows = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).to(device_of(net))
    with untouched(net):
        for training in (False, True):
            net.train(training)
            mode = "training" if training else "evaluation"
            try:
                output = net(rows)
            except Exception as error:
                raise UsageError(
                    f"net {name} raised on two rows of shape {shape} in {mode} mode: {_last_line(error)}"
                ) from error
            _check_output(
                output, needed, where=f"net {name}, given two rows of shape {shape} in {mode} mode,"
            )


def parameter_count(net: nn.Module) -> int:
    """Numbers that training changes."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


def _call(config: NetConfig, *, shape: tuple[int, ...], outputs: int) -> nn.Module:
    if config.heads > 1:
        raise UsageError(
            f"heads is {config.heads}, but {config.net!r} declares no trunk for them; "
            f"use one of {', '.join(NETS)} or --heads 1"
        )
    given = [
        field.replace("_", "-")
        for field in ("hidden", "init", "bias_init", "batch_norm", "dropout")
        if (getattr(config, field) or None) != (NetConfig.model_fields[field].default or None)
    ]
    if given:
        raise UsageError(
            f"{', '.join(given)} describes the built-in networks, but net is {config.net!r}; "
            "set it in that function and leave the option out"
        )
    try:
        net = load_function(config.net)(shape, outputs)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"{config.net!r} raised when called with ({shape}, {outputs}): {_last_line(error)}"
        ) from error
    if not isinstance(net, nn.Module):
        raise UsageError(f"{config.net!r} returned a {type(net).__name__}, but a torch.nn.Module is needed")
    lazy = [name for name, parameter in net.named_parameters() if is_lazy(parameter)]
    if lazy:
        raise UsageError(
            f"{config.net!r} returned a network whose {lazy[0]!r} has no shape yet; pass two rows through it "
            f"before it is returned, or use layers that are not lazy (the rows' shape is its first argument)"
        )
    return replace_dropout(net)


def _check_output(output: object, needed: tuple[int, ...], *, where: str) -> None:
    if not isinstance(output, Tensor):
        raise UsageError(
            f"{where} returned a {type(output).__name__}, but a tensor of shape {needed} is needed"
        )
    if tuple(output.shape) != needed:
        raise UsageError(f"{where} returned shape {tuple(output.shape)}, but {needed} is needed")
    if not output.is_floating_point():
        raise UsageError(f"{where} returned {output.dtype}, but floating-point numbers are needed")
    if not bool(torch.isfinite(output).all()):
        raise UsageError(f"{where} returned numbers that are not finite; look at its initialization")


def _last_line(error: Exception) -> str:
    return traceback.format_exception_only(error)[-1].strip()
