"""VGG networks that look at restored images during training: features, and a discriminator."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Widths of VGG19's convolutions up to conv5_4; "M" halves height and width.
_VGG19 = (64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4)

# Of ImageNet, on which VGG19 was trained.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class VGG19Features(nn.Module):
    """VGG19 up to conv5_4, before its ReLU; fixed.

    ``forward``: ``[N, 3, H, W]`` sRGB in [0, 1] → ``[N, 512, H/16, W/16]``. The keys of its
    state dict are torchvision's, ``features.0.weight`` to ``features.34.bias``.

    Source: K. Simonyan and A. Zisserman, *Very deep convolutional networks for large-scale image
    recognition*, ICLR 2015; before the ReLU after X. Wang et al., *ESRGAN*, ECCVW 2018.
    """

    SMALLEST_PX = 16
    """Of an image each way: it is halved four times."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in _VGG19:
            if isinstance(width, int):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Features of conv5_4."""
        features: Tensor = self.features((x - self.mean) / self.std)
        return features


def load_vgg19(path: Path) -> VGG19Features:
    """VGG19's features with the weights of a file as torchvision publishes it.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: where it holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there are no VGG19 weights at {path}: give torchvision's vgg19-dcbb9e9d.pth"
        )
    net = VGG19Features()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        net.load_state_dict({k: state[k] for k in net.state_dict()})
    except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not hold torchvision's VGG19: {error!r}") from None
    except Exception as error:  # what the unpickler raises has no common class
        raise ValueError(f"{path} is not a file of PyTorch weights: {error}") from None
    return net


class Discriminator(nn.Module):
    """VGG-128: is this 128×128 image a clean one, or a restored one?

    ``forward``: ``[N, 3, 128, 128]`` in [0, 1] → logits ``[N, 1]``; larger images are cut down
    to their centre.

    Source: X. Wang et al., *ESRGAN*, ECCVW 2018 (as the authors of InvDN define it, without
    using it).
    """

    SIZE_PX = 128

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.LeakyReLU(0.2)]
        channels = width
        for factor in (1, 2, 4, 8, 8):
            wide = factor * width
            if channels != wide or factor == 8:
                layers += _conv_norm(channels, wide, 3)
            layers += _conv_norm(wide, wide, 4)
            channels = wide
        self.features = nn.Sequential(*layers)  # → [N, 8·width, 4, 4]
        self.classifier = nn.Sequential(
            nn.Linear(channels * 16, 100), nn.LeakyReLU(0.2), nn.Linear(100, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The logit of "clean"."""
        top, left = ((side - self.SIZE_PX) // 2 for side in x.shape[2:])
        x = x[..., top : top + self.SIZE_PX, left : left + self.SIZE_PX]
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits


def _conv_norm(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    """Conv, batch norm, LeakyReLU; a kernel of 4 halves height and width."""
    return [
        nn.Conv2d(
            inputs, outputs, kernel, stride=kernel - 2 if kernel == 4 else 1, padding=1, bias=False
        ),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.2),
    ]


def discriminator_loss(net: nn.Module, clean: Tensor, restored: Tensor) -> Tensor:
    """What the discriminator minimises: ``−log D(clean) − log(1 − D(restored))``, halved."""
    real, fake = net(clean), net(restored)
    return 0.5 * (
        F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    )


def adversarial_loss(net: nn.Module, restored: Tensor) -> Tensor:
    """What the network minimises: ``−log D(restored)``.

    Source: I. Goodfellow et al., *Generative Adversarial Nets*, NIPS 2014 (the non-saturating
    form).
    """
    logits = net(restored)
    return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
