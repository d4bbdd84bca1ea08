"""The laws of invertibility, on random weights and random inputs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from invdn.net.coupling import Coupling
from invdn.net.haar import Haar, SmoothHaar
from invdn.net.invdn import BEST, FAST, PHOTO, InvDN, Latents, LevelConfig, infer_levels
from invdn.net.paper import PaperCoupling, PaperInvDN

SMALL = (LevelConfig(2, 8, 5, 8, 1), LevelConfig(1, 8, 7, 8, 1))
PLAIN_FINEST = (LevelConfig(0, 0, 5, 8, 1), LevelConfig(1, 8, 7, 8, 1))
WHOLE = (
    LevelConfig(1, 8, 5, 8, 1, hint=3, whole=True),
    LevelConfig(0, 0, 6, 8, 1, survey=2, hint=2, whole=True),
    LevelConfig(1, 8, 7, 8, 1),
)
NETWORKS = {
    "small": SMALL,
    "whole": WHOLE,
    "plain finest level": PLAIN_FINEST,
    "photo": PHOTO,
    "best": BEST,
    "fast": FAST,
}


def shaken(net: nn.Module, scale: float = 0.05) -> nn.Module:
    """Far enough from the start that couplings and posteriors do something."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(scale * noise.to(parameter.dtype))
    return net


def flat(output: object) -> Tensor:
    """Any network's latents as one matrix, a row a sample."""
    if isinstance(output, Tensor):
        return output.flatten(1)
    assert isinstance(output, tuple)
    return torch.cat([flat(part) for part in output], dim=1)


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "haar": (lambda: Haar(3), (3, 8, 12)),
    "haar, divided by 4": (lambda: Haar(5, divisor=4.0), (5, 4, 4)),
    "smooth haar": (lambda: SmoothHaar(2), (2, 8, 12)),
    "coupling": (lambda: shaken(Coupling(12, 5, 8)), (12, 6, 7)),
    "paper's coupling": (lambda: shaken(PaperCoupling(12)), (12, 6, 7)),
    "invdn, small": (lambda: shaken(InvDN(SMALL)), (3, 12, 8)),
    "invdn, plain finest level": (lambda: shaken(InvDN(PLAIN_FINEST)), (3, 12, 8)),
    "invdn, photo": (lambda: shaken(InvDN(PHOTO), 0.02), (3, 16, 24)),
    "invdn, best": (lambda: shaken(InvDN(BEST), 0.02), (3, 16, 24)),
    "invdn, fast": (lambda: shaken(InvDN(FAST), 0.02), (3, 16, 24)),
    "paper": (lambda: shaken(PaperInvDN(), 0.005), (3, 16, 12)),
}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-5)], ids=str
)
def test_inverse_undoes_forward(name: str, dtype: torch.dtype, tolerance: float) -> None:
    make, shape = MODULES[name]
    torch.manual_seed(0)
    net = make().to(dtype)
    x = torch.rand(2, *shape, dtype=dtype)
    with torch.no_grad():
        y = net(x)
        assert not torch.allclose(flat(y)[:, :7], x.flatten(1)[:, :7])
        assert (net.inverse(y) - x).abs().max() < tolerance


@pytest.mark.parametrize(
    "name", ["haar", "haar, divided by 4", "smooth haar", "coupling", "paper's coupling"]
)
def test_forward_undoes_inverse(name: str) -> None:
    make, shape = MODULES[name]
    torch.manual_seed(0)
    net = make().double()
    y = net(torch.rand(1, *shape, dtype=torch.float64))
    y = torch.rand_like(y)
    assert (net(net.inverse(y)) - y).abs().max() < 1e-12


SMALL_INPUTS = {
    "haar": (3, 2, 4),
    "haar, divided by 4": (5, 2, 2),
    "smooth haar": (2, 6, 4),
    "coupling": (12, 2, 3),
    "paper's coupling": (12, 2, 2),
    "invdn, small": (3, 8, 4),
    "invdn, plain finest level": (3, 8, 4),
    "paper": (3, 4, 4),
}


@pytest.mark.parametrize("name", SMALL_INPUTS)
def test_log_determinant_is_that_of_the_jacobian(name: str) -> None:
    torch.manual_seed(0)
    net = MODULES[name][0]().double()
    x = torch.rand(2, *SMALL_INPUTS[name], dtype=torch.float64)
    for sample, expected in zip(x, net.log_det(x), strict=True):
        jacobian = torch.autograd.functional.jacobian(
            lambda flat_x, shape=sample.shape: flat(net(flat_x.view(1, *shape)))[0],
            sample.flatten(),
        )
        assert torch.linalg.slogdet(jacobian).logabsdet == pytest.approx(expected.item(), abs=1e-9)


def test_haar_is_orthonormal() -> None:
    net = Haar(2).double()
    columns = net(torch.eye(32, dtype=torch.float64).view(32, 2, 4, 4)).flatten(1)
    assert torch.allclose(columns @ columns.T, torch.eye(32, dtype=torch.float64), atol=1e-15)
    assert torch.equal(net.log_det(torch.rand(2, 2, 4, 4)), torch.zeros(2))


def test_smooth_haar_has_no_details_where_the_signal_is_quadratic() -> None:
    rows = torch.arange(16, dtype=torch.float64).view(1, 1, -1, 1)
    columns = torch.arange(20, dtype=torch.float64).view(1, 1, 1, -1)
    x = 3.0 + 2.0 * rows - columns + 0.5 * rows**2 - 0.1 * columns**2 + rows * columns
    y = SmoothHaar(1).double()(x)
    assert y[:, 1:, 1:-1, 1:-1].abs().max() < 1e-12
    assert torch.allclose(y[:, :1], Haar(1).double()(x)[:, :1])
    assert y[:, 1:].abs().max() > 1.0  # at the border


def test_published_haar_averages_come_first() -> None:
    x = torch.rand(1, 3, 4, 6)
    averages = Haar(3, divisor=4.0)(x)[:, :3]
    assert torch.allclose(averages, nn.functional.avg_pool2d(x, 2), atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-5)], ids=str
)
@pytest.mark.parametrize("levels", NETWORKS.values(), ids=NETWORKS)
def test_strength_zero_is_the_identity(
    levels: tuple[LevelConfig, ...], dtype: torch.dtype, tolerance: float
) -> None:
    torch.manual_seed(0)
    net = shaken(InvDN(levels), 0.02).to(dtype)
    y = torch.rand(1, 3, 24, 32, dtype=dtype)
    with torch.no_grad():
        assert (net.denoise(y, 0.0) - y).abs().max() < tolerance
        assert (net.denoise(y, 1.0) - y).abs().max() > 0.01


@pytest.mark.parametrize("levels", [SMALL, WHOLE], ids=["small", "whole"])
def test_restored_latents_decode_to_the_restored_image(levels: tuple[LevelConfig, ...]) -> None:
    torch.manual_seed(0)
    net = shaken(InvDN(levels)).double()
    y = torch.rand(2, 3, 8, 16, dtype=torch.float64)
    for strength in (0.3, 1.0, 1.4):
        latents, image = net.restore(net(y), strength)
        assert (image - net.denoise(y, strength)).abs().max() < 1e-11
        assert (net.inverse(latents) - image).abs().max() < 1e-11
        assert (net(image).code - latents.code).abs().max() < 1e-11


def test_latents_have_the_documented_shapes() -> None:
    latents = InvDN(PHOTO)(torch.rand(2, 3, 16, 24))
    assert isinstance(latents, Latents)
    assert latents.code.shape == (2, 24, 2, 3)
    assert [d.shape for d in latents.details] == [(2, 6, 8, 12), (2, 12, 4, 6), (2, 24, 2, 3)]
    assert sum(d.numel() for d in latents.details) + latents.code.numel() == 2 * 3 * 16 * 24


def test_multiply_adds_are_those_that_a_denoised_image_takes() -> None:
    net, counted = InvDN(PHOTO), [0]

    def count(conv: nn.Module, _: object, output: Tensor) -> None:
        assert isinstance(conv, nn.Conv2d)
        counted[0] += conv.weight.numel() * output.shape[2] * output.shape[3]

    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    net.denoise(torch.rand(1, 3, 16, 24))
    assert counted[0] / (16 * 24) == net.macs_per_pixel()


def test_a_survey_tells_the_coarsest_level_of_the_finest() -> None:
    told = (LevelConfig(1, 8, 6, 8, 1), LevelConfig(1, 8, 7, 8, 1, survey=4))
    for levels, depends in ((told, True), (SMALL, False)):
        net = shaken(InvDN(levels))
        latents = net(torch.rand(1, 3, 8, 8))
        other = latents._replace(details=(latents.details[0] + 0.1, *latents.details[1:]))
        same = torch.equal(net.restore(latents)[0].code, net.restore(other)[0].code)
        assert same is not depends


def test_a_hint_tells_a_posterior_what_the_coarser_one_saw() -> None:
    net = shaken(InvDN((LevelConfig(1, 8, 6, 8, 1, hint=2), LevelConfig(1, 8, 7, 8, 1))))
    latents = net(torch.rand(1, 3, 8, 8))
    before = net.restore(latents)[0]
    with torch.no_grad():
        net.hints["0"].conv.bias.add_(1.0)
    after = net.restore(latents)[0]
    assert torch.equal(before.code, after.code)
    assert not torch.equal(before.details[0], after.details[0])


def test_there_is_nothing_finer_than_the_finest_level_to_survey() -> None:
    finest = LevelConfig(1, 8, 6, 8, 1, survey=4)
    with pytest.raises(ValueError, match="no survey at the finest"):
        InvDN((finest, LevelConfig(1, 8, 7, 8, 1)))


@pytest.mark.parametrize(
    ("level", "message"),
    [
        (LevelConfig(0, 0, 7, 8, 1), "coarsest level needs a coupling"),
        (LevelConfig(1, 0, 7, 8, 1), "of some width, or 0"),
        (LevelConfig(1, 8, 4, 8, 1), "given 5 channels keeps 5 to 19 of 20, not 4"),
        (LevelConfig(1, 8, 20, 8, 1), "not 20"),
        (LevelConfig(1, 8, 7, 0, 1), "has some width"),
    ],
)
def test_impossible_sizes_are_refused(level: LevelConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InvDN((SMALL[0], level))


def test_forward_keeps_nothing_on_the_network() -> None:
    net = InvDN(SMALL)

    def held() -> list[dict[str, object]]:
        return [dict(vars(module)) for module in net.modules()]

    before = held()
    buffers = {key: value.clone() for key, value in net.named_buffers()}
    net.denoise(torch.rand(1, 3, 8, 8))
    assert held() == before
    assert all(torch.equal(value, buffers[key]) for key, value in net.named_buffers())


def test_sizes_are_the_documented_ones() -> None:
    photo, best, fast, paper = InvDN(PHOTO), InvDN(BEST), InvDN(FAST), PaperInvDN()
    assert sum(p.numel() for p in paper.parameters()) == 2_640_960
    assert 0.88e6 < sum(p.numel() for p in photo.parameters()) < 0.89e6
    assert 1.92e6 < sum(p.numel() for p in best.parameters()) < 1.93e6
    assert 0.51e6 < sum(p.numel() for p in fast.parameters()) < 0.53e6
    assert 52e3 < photo.macs_per_pixel() < 53e3
    assert 120e3 < best.macs_per_pixel() < 121e3
    assert 23e3 < fast.macs_per_pixel() < 24e3


@pytest.mark.parametrize("levels", NETWORKS.values(), ids=NETWORKS)
def test_sizes_are_inferred_from_a_state_dict(levels: tuple[LevelConfig, ...]) -> None:
    assert infer_levels(InvDN(levels).state_dict()) == levels


def test_foreign_state_dict_is_refused() -> None:
    with pytest.raises(ValueError, match="not the weights of an InvDN"):
        infer_levels({"conv.weight": torch.zeros(1)})
    incomplete = InvDN(SMALL).state_dict()
    del incomplete["posteriors.0.conv_in.weight"]
    with pytest.raises(ValueError, match=r"posteriors\.0\.conv_in"):
        infer_levels(incomplete)
