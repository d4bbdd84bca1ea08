"""Reversible chains: autograd's gradients, without autograd's memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from invdn.net.coupling import Coupling
from invdn.net.invdn import InvDN, LevelConfig
from invdn.net.paper import PaperCoupling, PaperInvDN
from invdn.net.reversible import chain_forward, chain_inverse

Chain = Callable[[list[nn.Module], Tensor], Tensor]

LEVELS = (LevelConfig(8, 8, 5, 8, 1), LevelConfig(8, 8, 7, 8, 1))
PLAIN_FINEST = (LevelConfig(0, 0, 5, 8, 1), LevelConfig(8, 8, 7, 8, 1))


def plain_forward(blocks: list[nn.Module], x: Tensor) -> Tensor:
    for block in blocks:
        x = block(x)
    return x


def plain_inverse(blocks: list[nn.Module], y: Tensor) -> Tensor:
    for block in reversed(blocks):
        y = block.inverse(y)  # type: ignore[operator]
    return y


DIRECTIONS = [(plain_forward, chain_forward), (plain_inverse, chain_inverse)]
both_directions = pytest.mark.parametrize(("plain", "chain"), DIRECTIONS, ids=["fwd", "inv"])


def couplings(
    number: int, dtype: torch.dtype = torch.float32, paper: bool = False
) -> nn.ModuleList:
    """Blocks as far from the identity as trained ones."""
    torch.manual_seed(0)
    blocks = nn.ModuleList(
        PaperCoupling(12) if paper else Coupling(12, 5, 8) for _ in range(number)
    ).to(dtype)
    with torch.no_grad():
        for parameter in blocks.parameters():
            parameter.add_((0.01 if paper else 0.05) * torch.randn_like(parameter))
    return blocks


def gradients(run: Callable[[Tensor], Tensor], module: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Of a loss that weighs every output differently: of the input and of each parameter."""
    module.zero_grad()
    x = x.detach().requires_grad_()
    y = run(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
    found = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    assert x.grad is not None
    return {"input": x.grad, **found}


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float) -> None:
    """Each tensor within ``tolerance`` of the other's norm."""
    assert one.keys() == other.keys()
    for name, expected in other.items():
        error = (one[name] - expected).norm() / expected.norm()
        assert error <= tolerance, (name, float(error))


def smooth(module: nn.Module) -> nn.Module:
    """With SiLU for LeakyReLU, in place.

    The slope of LeakyReLU jumps at 0, and gradients in float32 with it wherever a rounding error
    carries a feature across: autograd's differ from the exact ones for the same reason.
    """
    for child in list(module.modules()):
        for name, part in list(child.named_children()):
            if isinstance(part, nn.LeakyReLU):
                setattr(child, name, nn.SiLU())
    return module


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)], ids=str
)
@pytest.mark.parametrize("paper", [False, True], ids=["ours", "paper's"])
@pytest.mark.parametrize("number", [8, 24])
@both_directions
def test_gradients_are_autograds(
    plain: Chain, chain: Chain, number: int, paper: bool, dtype: torch.dtype, tolerance: float
) -> None:
    blocks = smooth(couplings(number, dtype, paper))
    x = torch.rand(2, 12, 6, 10, dtype=dtype)
    expected = gradients(lambda x: plain(list(blocks), x), blocks, x)
    assert_close(gradients(lambda x: chain(list(blocks), x), blocks, x), expected, tolerance)


@pytest.mark.parametrize("paper", [False, True], ids=["ours", "paper's"])
@both_directions
def test_with_kinks_gradients_are_as_exact_as_autograds(
    plain: Chain, chain: Chain, paper: bool
) -> None:
    blocks = couplings(8, torch.float32, paper)
    exact = copy.deepcopy(blocks).double()
    x = torch.rand(2, 12, 16, 16)
    truth = gradients(lambda x: plain(list(exact), x), exact, x.double())

    def errors(run: Chain) -> Tensor:
        found = gradients(lambda x: run(list(blocks), x), blocks, x)
        return torch.stack([(found[k] - truth[k]).norm() / truth[k].norm() for k in truth])

    assert errors(chain).median() < 2 * errors(plain).median() + 1e-6
    # Kinks are crossed here and there, by autograd as well: less than a thousandth in all.
    assert errors(chain).max() < 1e-3


@both_directions
def test_values_are_the_plain_chains_bit_for_bit(plain: Chain, chain: Chain) -> None:
    blocks = list(couplings(5))
    x = torch.rand(1, 12, 6, 10)
    assert torch.equal(chain(blocks, x), plain(blocks, x))
    with torch.no_grad():
        assert torch.equal(chain(blocks, x), plain(blocks, x))


@pytest.mark.parametrize("levels", [LEVELS, PLAIN_FINEST], ids=["blocks", "plain finest level"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_whole_network(dtype: torch.dtype, levels: tuple[LevelConfig, ...]) -> None:
    """Forward and inverse of every level in one graph: each parameter is used twice."""
    torch.manual_seed(0)
    net = smooth(InvDN(levels)).to(dtype)
    reversible = smooth(InvDN(levels, reversible=True)).to(dtype)
    reversible.load_state_dict(net.state_dict())
    y = torch.rand(2, 3, 16, 24, dtype=dtype)
    expected = gradients(net.denoise, net, y)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    assert_close(gradients(reversible.denoise, reversible, y), expected, tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_published_network(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net = smooth(PaperInvDN()).to(dtype)
    reversible = smooth(PaperInvDN(reversible=True)).to(dtype)
    reversible.load_state_dict(net.state_dict())
    y, z = torch.rand(1, 3, 12, 16, dtype=dtype), torch.randn(1, 45, 3, 4, dtype=dtype)
    expected = gradients(lambda y: net.denoise(y, z), net, y)
    found = gradients(lambda y: reversible.denoise(y, z), reversible, y)
    assert_close(found, expected, 1e-5 if dtype == torch.float32 else 1e-13)


@both_directions
def test_frozen_parameters_get_no_gradient(plain: Chain, chain: Chain) -> None:
    blocks = couplings(4)
    blocks[1].requires_grad_(False)
    blocks[2].f.requires_grad_(False)
    x = torch.rand(1, 12, 4, 4)
    expected = gradients(lambda x: plain(list(blocks), x), blocks, x)
    assert not any(name.startswith(("1.", "2.f.")) for name in expected)
    assert_close(gradients(lambda x: chain(list(blocks), x), blocks, x), expected, 1e-5)
    blocks.requires_grad_(False)
    found = gradients(lambda x: chain(list(blocks), x), blocks, x)
    assert_close(found, gradients(lambda x: plain(list(blocks), x), blocks, x), 1e-5)
    assert found.keys() == {"input"}
    assert not chain(list(blocks), x).requires_grad


@both_directions
def test_input_without_gradient(plain: Chain, chain: Chain) -> None:
    blocks = couplings(4)
    x = torch.rand(1, 12, 4, 4)
    results = []
    for run in (plain, chain):
        blocks.zero_grad()
        run(list(blocks), x).square().sum().backward()
        results.append({name: p.grad.clone() for name, p in blocks.named_parameters()})
    assert x.grad is None
    assert_close(results[1], results[0], 1e-5)


def test_one_block_may_stand_in_a_chain_twice() -> None:
    blocks = couplings(2)
    order = [blocks[0], blocks[1], blocks[0]]
    x = torch.rand(1, 12, 4, 4)
    expected = gradients(lambda x: plain_forward(order, x), blocks, x)
    assert_close(gradients(lambda x: chain_forward(order, x), blocks, x), expected, 1e-5)


@both_directions
def test_gradients_add_up(plain: Chain, chain: Chain) -> None:
    """Over two uses of a chain in one graph, and over two backward passes of one graph."""
    blocks = couplings(3)
    x = torch.rand(1, 12, 4, 4)
    expected = gradients(lambda x: plain(list(blocks), plain(list(blocks), x)), blocks, x)
    found = gradients(lambda x: chain(list(blocks), chain(list(blocks), x)), blocks, x)
    assert_close(found, expected, 1e-5)
    blocks.zero_grad()
    loss = chain(list(blocks), x).sum()
    loss.backward(retain_graph=True)
    once = [p.grad.clone() for p in blocks.parameters()]
    loss.backward()
    for parameter, gradient in zip(blocks.parameters(), once, strict=True):
        torch.testing.assert_close(parameter.grad, 2 * gradient)


@both_directions
def test_bfloat16_autocast_is_as_good_as_autograds(plain: Chain, chain: Chain) -> None:
    """Against float64: the recomputed activations cost nothing on top of bfloat16 itself."""
    blocks = couplings(8)
    exact = copy.deepcopy(blocks).double()
    x = torch.rand(2, 12, 8, 8)
    truth = gradients(lambda x: plain(list(exact), x), exact, x.double())

    def error(run: Chain) -> float:
        def under_autocast(x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                y = run(list(blocks), x)
            assert y.dtype == torch.float32  # the trunk keeps its precision
            return y

        found = gradients(under_autocast, blocks, x)
        return max(float((found[k] - truth[k]).norm() / truth[k].norm()) for k in truth)

    assert 1e-4 < error(plain) < 0.1
    assert error(chain) < 1.25 * error(plain)


def test_bfloat16_inputs_under_autocast_become_float32() -> None:
    blocks = list(couplings(2))
    with torch.autocast("cpu", torch.bfloat16):
        assert chain_forward(blocks, torch.rand(1, 12, 4, 4).bfloat16()).dtype == torch.float32
    with pytest.raises(TypeError, match=r"float32 or float64, not torch\.bfloat16"):
        chain_forward(blocks, torch.rand(1, 12, 4, 4).bfloat16())


def test_plain_use_after_reversible_use_under_one_autocast() -> None:
    """Autocast's cached weights must not lose their gradients."""
    blocks = couplings(1)
    x = torch.rand(1, 12, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        chain_forward(list(blocks), x)
        plain_forward(list(blocks), x).sum().backward()
    assert all(p.grad is not None for p in blocks.parameters())


def test_what_would_be_wrong_is_refused() -> None:
    blocks = couplings(2)
    x = torch.rand(1, 12, 4, 4, requires_grad=True)
    y = chain_forward(list(blocks), x)
    (gradient,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
    with pytest.raises(ValueError, match="same split"):
        chain_forward([*blocks, Coupling(12, 4, 8)], x)
    y = chain_forward(list(blocks), x)
    with torch.no_grad():
        blocks[0].f[0].weight.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@contextmanager
def kept_bytes() -> Iterator[list[int]]:
    """The sizes of all that autograd keeps, each storage once."""
    sizes: list[int] = []
    seen = set()

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if not isinstance(tensor, nn.Parameter) and storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            sizes.append(storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes


@both_directions
def test_memory_does_not_grow_with_depth(plain: Chain, chain: Chain) -> None:
    x = torch.rand(1, 12, 32, 32)

    def kept(run: Chain, number: int) -> int:
        blocks = list(couplings(number))
        with kept_bytes() as sizes:
            y = run(blocks, x)
            assert y.requires_grad
        return sum(sizes)

    assert kept(chain, 12) == kept(chain, 3) == x.numel() * 4
    assert kept(plain, 12) > 3 * kept(plain, 3)
