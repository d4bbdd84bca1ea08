"""The networks that look at restored images: VGG19's features and the discriminator."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from invdn.net.vgg import (
    Discriminator,
    VGG19Features,
    adversarial_loss,
    discriminator_loss,
    load_vgg19,
)

#: Indices and widths of torchvision's vgg19().features, as its published state dict has them.
TORCHVISION = {
    0: (64, 3),
    2: (64, 64),
    5: (128, 64),
    7: (128, 128),
    10: (256, 128),
    12: (256, 256),
    14: (256, 256),
    16: (256, 256),
    19: (512, 256),
    21: (512, 512),
    23: (512, 512),
    25: (512, 512),
    28: (512, 512),
    30: (512, 512),
    32: (512, 512),
    34: (512, 512),
}


@pytest.fixture(scope="module")
def vgg19_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights under torchvision's names, with a part of the classifier."""
    generator = torch.Generator().manual_seed(0)
    state = {"classifier.6.bias": torch.zeros(1000)}
    for index, (outputs, inputs) in TORCHVISION.items():
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator)
        weight *= (2 / (9 * inputs)) ** 0.5
        state[f"features.{index}.weight"] = weight.half()
        state[f"features.{index}.bias"] = torch.zeros(outputs).half()
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(state, path)
    return path


def test_vgg19_loads_torchvisions_file(vgg19_file: Path) -> None:
    net = load_vgg19(vgg19_file)
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    features = net(image)
    assert features.shape == (1, 512, 2, 2)
    assert features.min() < 0  # before the ReLU
    features.abs().mean().backward()
    assert image.grad is not None
    assert image.grad.abs().max() > 0
    assert not any(p.requires_grad for p in net.parameters())
    state = torch.load(vgg19_file, weights_only=True)
    assert torch.equal(net.state_dict()["features.34.weight"].half(), state["features.34.weight"])
    assert set(state) - set(net.state_dict()) == {"classifier.6.bias"}


def test_missing_or_foreign_vgg19_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth.*vgg19-dcbb9e9d\.pth"):
        load_vgg19(tmp_path / "nowhere.pth")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="torchvision's VGG19"):
        load_vgg19(tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(ValueError, match=r"text\.pth"):
        load_vgg19(tmp_path / "text.pth")


def test_vgg19_has_no_weights_of_its_own_to_train() -> None:
    assert sum(p.numel() for p in VGG19Features().parameters()) == 20_024_384


def test_discriminator_has_the_published_size() -> None:
    assert sum(p.numel() for p in Discriminator().parameters()) == 14_499_401
    assert Discriminator(2)(torch.rand(2, 3, 144, 144)).shape == (2, 1)


def test_discriminator_learns_to_tell_noise_from_none_and_teaches_it() -> None:
    torch.manual_seed(0)
    net = Discriminator(4)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    clean = torch.full((2, 3, 128, 128), 0.5)
    values = []
    for _ in range(12):
        restored = clean + 0.1 * torch.randn_like(clean)
        loss = discriminator_loss(net, clean, restored)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(loss.item())
    assert values[-1] < 0.5 * values[0]
    noise = (0.1 * torch.randn_like(clean)).requires_grad_()
    before = adversarial_loss(net, clean + noise)
    before.backward()
    assert noise.grad is not None
    step = 2e-3 * noise.grad.sign()
    with torch.no_grad():
        assert adversarial_loss(net, clean + noise - step) < before
