"""The loss terms: each must be felt where it should."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from invdn.config import LossConfig, NetworkConfig, TrainConfig
from invdn.net.losses import bicubic_downscale
from invdn.net.vgg import VGG19Features
from invdn.training.objective import Adversary, Objective, Restoration, build_network, draw_z

CPU = torch.device("cpu")
CPU_FABRIC = Fabric(accelerator="cpu", devices=1)


def random_vgg19() -> VGG19Features:
    """With random weights that keep the features' size from layer to layer."""
    torch.manual_seed(0)
    net = VGG19Features()
    for layer in net.features:
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    return net


def gradient(loss: LossConfig, base: Path = Path(), side: int = 32) -> Tensor:
    """The loss's gradient at a fixed restored image."""
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, side, side, generator=generator)
    restored = (target + 0.1 * torch.rand(target.shape, generator=generator)).requires_grad_()
    torch.manual_seed(0)
    adversary = Adversary(loss, CPU_FABRIC) if loss.adversarial_weight else None
    objective = Objective(TrainConfig(run="x", loss=loss), base, CPU)
    terms = objective.terms(restored, None, target, adversary)
    torch.stack(list(terms.values())).sum().backward()
    assert restored.grad is not None
    return restored.grad


@pytest.mark.parametrize(
    "loss",
    [
        LossConfig(pixel="l1"),
        LossConfig(pixel="psnr"),
        LossConfig(reduction="sum"),
        LossConfig(gradient_weight=1.0),
        LossConfig(ssim_weight=1.0),
        LossConfig(perceptual_weight=1.0, vgg19="vgg19.pth"),
        LossConfig(adversarial_weight=1.0, adversarial_width=2),
    ],
    ids=lambda loss: str(loss)[11:60],
)
def test_every_option_changes_the_gradient(loss: LossConfig, tmp_path: Path) -> None:
    if loss.perceptual_weight:
        torch.save(random_vgg19().half().state_dict(), tmp_path / "vgg19.pth")
    side = 128 if loss.adversarial_weight else 32
    plain = gradient(LossConfig(), side=side)
    changed = gradient(loss, tmp_path, side)
    assert changed.isfinite().all()
    assert (changed - plain).abs().max() > 1e-4 * plain.abs().max()


def test_sums_are_over_the_numbers_of_an_image() -> None:
    assert torch.allclose(gradient(LossConfig(reduction="sum")), 3072 * gradient(LossConfig()))


def test_code_is_held_to_the_shrunken_image() -> None:
    target = torch.rand(2, 3, 16, 16)
    code = (bicubic_downscale(target, 4) + 0.5).requires_grad_()
    loss = LossConfig(code_weight=16.0, reduction="sum")
    terms = Objective(TrainConfig(run="x", loss=loss), Path(), CPU).terms(
        target, code, target, None
    )
    # 16 · 48 numbers, each wrong by a half.
    assert terms["code"].item() == pytest.approx(16 * 48 * 0.25, rel=1e-4)


def test_perceptual_term_alone_brings_an_image_closer_in_features(tmp_path: Path) -> None:
    torch.save(random_vgg19().state_dict(), tmp_path / "vgg19.pth")
    config = TrainConfig(run="x", loss=LossConfig(perceptual_weight=1.0, vgg19="vgg19.pth"))
    objective = Objective(config, tmp_path, CPU)
    target, image = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32).requires_grad_()
    optimiser = torch.optim.Adam([image], lr=0.02)
    values = []
    for _ in range(10):
        term = objective.terms(image, None, target, None)["perceptual"]
        optimiser.zero_grad()
        term.backward()
        optimiser.step()
        values.append(term.item())
    assert values[-1] < 0.9 * values[0]


def test_adversary_learns_without_being_taught_by_the_networks_loss() -> None:
    torch.manual_seed(0)
    adversary = Adversary(LossConfig(adversarial_width=2), CPU_FABRIC)
    clean = torch.full((2, 3, 128, 128), 0.5)
    restored = (clean + 0.1 * torch.randn_like(clean)).requires_grad_()
    adversary.loss(restored).backward()
    assert restored.grad is not None
    assert restored.grad.abs().max() > 0
    assert all(p.grad is None for p in adversary.net.parameters())
    values = [adversary.learn([(clean, restored.detach())]) for _ in range(15)]
    assert values[-1] < values[0]


def test_z_is_a_function_of_the_seed() -> None:
    net = build_network(NetworkConfig("paper"))
    noisy = torch.rand(2, 3, 8, 12)
    z = draw_z(net, noisy, 1)
    assert z is not None
    assert z.shape == (2, 45, 2, 3)
    again, other = draw_z(net, noisy, 1), draw_z(net, noisy, 2)
    assert again is not None
    assert other is not None
    assert torch.equal(z, again)
    assert not torch.equal(z, other)
    restored, code = Restoration(net)(noisy, z)
    assert torch.equal(restored, net.denoise(noisy, z))
    assert code.shape == (2, 3, 2, 3)
    assert draw_z(build_network(NetworkConfig()), noisy, 1) is None
