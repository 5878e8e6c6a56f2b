"""FCN with a ResNet-50 backbone, as torchvision has it; its head is DeepLabv3's auxiliary head too."""

from __future__ import annotations

from pathlib import Path

from workloads.nets.layers import IMAGENET, NetBuilder, Size, check_classes, image_size, scaled
from workloads.nets.resnet import resnet50_backbone
from workloads.nets.weights import weight_source
from workloads.network import Network


def fcn_resnet50(
    size: Size = 513,
    classes: int = 21,
    width: float = 1.0,
    aux: bool = False,
    weights: str | Path | None = None,
    seed: int = 0,
) -> Network:
    """Return FCN-ResNet50, float, from normalised image to label map [1, height, width].

    torchvision's model: ResNet-50 at output stride 8, a 3x3 convolution, scores, bilinear resize.

    Parameters
    ----------
    size
        Side of the square image, or (height, width).
    classes
        Number of classes, background included.
    width
        Multiplies every channel count but that of the classes.
    aux
        The auxiliary head too, its label map as the output ``aux_labels``. `macs` counts it, `parameters` does not.
    weights
        None = shapes only, ``"seeded"`` = random, or a file (.pth, .safetensors, .npz).
    seed
        Of seeded weights.

    Raises
    ------
    NetworkError
        An option that does not exist, or weights that do not suit.

    """
    name = "fcn_resnet50"
    check_classes(name, classes)
    net = NetBuilder(name, image_size(name, size), weight_source(weights, seed))
    middle, features = resnet50_backbone(net, width, 8)
    _head(net, features, "classifier", scaled(name, 512, width), classes, "upsampled", "labels")
    if aux:
        auxiliary_head(net, middle, width, classes)
    return net.network(IMAGENET, classes)


def auxiliary_head(net: NetBuilder, x: str, width: float, classes: int) -> None:
    """Add the head on the third stage, with the output `aux_labels`."""
    _head(net, x, "aux_classifier", scaled(net.name, 256, width), classes, "aux_upsampled", "aux_labels")


def _head(net: NetBuilder, x: str, name: str, filters: int, classes: int, upsampled: str, labels: str) -> None:
    y = net.unit(x, f"{name}.0", f"{name}.1", filters, 3)
    scores = net.conv(y, f"{name}.4", classes, 1, bias=True, role="score")
    net.labels(net.resize(scores, upsampled, net.size(net.image), align_corners=False, half_pixel=True), labels)
