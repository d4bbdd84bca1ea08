"""The published network and its checkpoint."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from invdn.net.paper import PaperInvDN, PaperLatents


def published_state_dict(prefix: str) -> dict[str, Tensor]:
    """Random tensors under the key names and shapes of ``InvDN_ResUnit_x4.pth``."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}

    def conv(key: str, inputs: int, outputs: int) -> None:
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator)
        state[f"{prefix}{key}.weight"] = 0.02 * weight
        state[f"{prefix}{key}.bias"] = 0.02 * torch.randn(outputs, generator=generator)

    index, channels = 0, 3
    for _ in range(2):
        state[f"{prefix}operations.{index}.haar_weights"] = torch.ones(4 * channels, 1, 2, 2)
        index, channels = index + 1, 4 * channels
        for _ in range(8):
            rest = channels - 3
            for name, inputs, outputs in (("F", rest, 3), ("G", 3, rest), ("H", 3, rest)):
                subnet = f"operations.{index}.{name}"
                conv(f"{subnet}.conv1", inputs, 64)
                conv(f"{subnet}.conv2", 64, 64)
                conv(f"{subnet}.conv3", inputs + 64, outputs)
            index += 1
    return state


@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_checkpoint_loads_key_for_key(prefix: str) -> None:
    state = published_state_dict(prefix)
    net = PaperInvDN()
    net.load_published(state)
    for key, value in net.state_dict().items():
        assert torch.equal(value, state[prefix + key]), key
    count = sum(v.numel() for k, v in state.items() if not k.endswith("haar_weights"))
    assert count == 2_640_960


def test_incomplete_or_foreign_checkpoint_is_refused() -> None:
    state = published_state_dict("")
    del state["operations.10.F.conv1.weight"]
    with pytest.raises(ValueError, match=r"published InvDN"):
        PaperInvDN().load_published(state)
    with pytest.raises(ValueError, match=r"published InvDN"):
        PaperInvDN().load_published({"weight": torch.zeros(1)})


def test_code_of_a_fresh_haar_pyramid_is_the_shrunken_image() -> None:
    net = PaperInvDN()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    y = torch.rand(1, 3, 8, 12)
    code, z = net(y)
    assert torch.allclose(code, torch.nn.functional.avg_pool2d(y, 4), atol=1e-6)
    assert z.shape == (1, 45, 2, 3)


def test_denoise_replaces_z_and_perturb_moves_it() -> None:
    net = PaperInvDN().double()
    net.load_published({k: v.double() for k, v in published_state_dict("").items()})
    y = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        latents = net(y)
        v = torch.randn_like(latents.z)
        assert torch.allclose(net.denoise(y, latents.z), y, atol=1e-10)
        assert torch.allclose(net.denoise(y, v), net.inverse(PaperLatents(latents.code, v)))
        assert torch.allclose(net.perturb(y, 0.0, v), y, atol=1e-10)
        assert not torch.allclose(net.perturb(y, 0.1, v), y, atol=1e-3)
