"""Networks by name: the built-in ones, and those of plugins."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from inspect import getdoc, signature
from typing import Any

from simulator.errors import BittrueError, NetworkError
from simulator.plugins import NETWORKS, broken, load_plugin, plugins
from workloads.nets.deeplabv3 import deeplabv3_resnet50
from workloads.nets.fcn import fcn_vgg16
from workloads.nets.fcn_resnet import fcn_resnet50
from workloads.nets.mobilenet import mobilenet_v2
from workloads.nets.resnet import resnet50
from workloads.nets.unet import unet
from workloads.nets.vgg import vgg16
from workloads.network import Network

_NETWORKS: dict[str, Callable[..., Network]] = {
    "deeplabv3_resnet50": deeplabv3_resnet50,
    "fcn_vgg16": fcn_vgg16,
    "fcn_resnet50": fcn_resnet50,
    "unet": unet,
    "resnet50": resnet50,
    "vgg16": vgg16,
    "mobilenet_v2": mobilenet_v2,
}


def builtin_names() -> tuple[str, ...]:
    """Return the names of the built-in networks."""
    return tuple(_NETWORKS)


def names() -> tuple[str, ...]:
    """Return all names, the built-in ones first."""
    return (*_NETWORKS, *(name for name in plugins(NETWORKS) if name not in _NETWORKS))


def describe(name: str) -> tuple[str, dict[str, Any]]:
    """Return a network's one-line description and its keywords with their defaults."""
    function = _find(name)
    summary = (getdoc(function) or "").splitlines()[0].removeprefix("Return ")
    return summary, {key: parameter.default for key, parameter in signature(function).parameters.items()}


def build(name: str, **keywords: Any) -> Network:
    """Return the network `name`; its keywords are those of its function, all with a default.

    Raises
    ------
    NetworkError
        An unknown name or keyword (the message lists those there are), or a value that does not suit.
    PluginError
        A plugin that cannot be loaded, fails, or returns something else than a Network.

    """
    function = _find(name)
    known = signature(function).parameters
    for keyword in keywords:
        if keyword not in known:
            near = get_close_matches(keyword, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise NetworkError(f"{name} has no keyword {keyword!r}{hint} It has {', '.join(known)}")
    if name in _NETWORKS:
        return function(**keywords)
    try:
        network = function(**keywords)
        if not isinstance(network, Network):
            raise TypeError(f"it returned {type(network).__name__}, not a Network")
    except BittrueError:
        raise
    except Exception as error:  # whatever the code of others raises
        raise broken(NETWORKS, name, error) from error
    return network


def _find(name: str) -> Callable[..., Network]:
    if name in _NETWORKS:
        return _NETWORKS[name]
    if name not in plugins(NETWORKS):
        raise NetworkError(f"no network {name!r}; there are {', '.join(names())}")
    function: Callable[..., Network] = load_plugin(NETWORKS, name)
    return function
