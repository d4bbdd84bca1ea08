"""A network of other sizes that begins where a trained one is: to train on from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from invdn.net.coupling import scale_last_layer
from invdn.net.invdn import InvDN, LevelConfig
from invdn.net.posterior import Posterior, ResidualPair


@torch.no_grad()
def resized(net: InvDN, levels: Sequence[LevelConfig], images: Sequence[Tensor]) -> InvDN:
    """A network with other posteriors, whose weights are those of ``net`` where they fit.

    A posterior may get wider or narrower, and gain or lose residual pairs. Narrower: those features
    stay whose energy on the images, times that of the weights that use them, is largest, and of the
    pairs the first. What is new comes last and is not used yet: new pairs, and the weights that
    take new features, surveys and hints into old ones, begin at 0. So a network that only grows
    computes what ``net`` does, and a narrower one nearly; and nearly so where a posterior comes to
    restore the kept channels too, which it first moves by 2% towards what they were. A level may
    also lose its couplings; then it computes something else until it has been trained again.

    Source of the growth: T. Chen et al., *Net2Net*, ICLR 2016; of the choice of features, in
    spirit: P. Molchanov et al., *Pruning Convolutional Neural Networks*, ICLR 2017.

    Args:
        net: The trained network; it is not changed.
        levels: Sizes of the new one.
        images: Noisy images ``[N, 3, H, W]`` in [0, 1], as the network is to work on, H and W
            multiples of ``net.multiple``; used only where something gets narrower.

    Raises:
        ValueError: where the sizes differ in something else, or a survey or hint would get narrower
            and not go.
    """
    levels = tuple(levels)
    _check(net.config, levels)
    features = _features(net, levels, images)
    result = InvDN(levels)
    for level, trained in zip(result.levels, net.levels, strict=True):
        there = level.state_dict()
        level.load_state_dict({k: v for k, v in trained.state_dict().items() if k in there})
    for i, (old, new) in enumerate(zip(net.config, levels, strict=True)):
        source, target = net.posteriors[i], result.posteriors[i]
        assert isinstance(source, Posterior)
        assert isinstance(target, Posterior)
        kept = features[i]
        context = 0 if i == len(levels) - 1 else new.kept
        # Kept channels that the new posterior sees and restores as well, before the others.
        more = new.kept if new.whole and not old.whole else 0
        _take_inputs(target.conv_in, source.conv_in, kept.stream, _inputs(context, more, old, new))
        pairs = zip(_pairs(target), _pairs(source), kept.hidden, strict=False)
        for pair, other, hidden in pairs:
            _take(pair.conv1, other.conv1, hidden, kept.stream)
            _take(pair.conv2, other.conv2, kept.stream, hidden)
        for pair in _pairs(target)[old.posterior_pairs :]:
            scale_last_layer(pair.conv2, 0.0)
        _take_outputs(target.conv_out, source.conv_out, kept.stream, more)
    for name, survey in result.surveys.items():
        if name in net.surveys:
            conv, taking = _conv(net.surveys[name]), _conv(survey)
            # The latent comes first, then the finer survey, which may have gone.
            inputs = _all(min(conv.in_channels, taking.in_channels))
            _take(taking, conv, _all(conv.out_channels), inputs)
    for name, hint in result.hints.items():
        if name in net.hints:
            conv, coarser = _conv(net.hints[name]), features[int(name) + 1].stream
            _take(_conv(hint), conv, _all(conv.out_channels), coarser)
    return result


@dataclass
class _Kept:
    """Which features of a posterior stay; new ones come after them."""

    stream: Tensor
    """Of what runs through the residual pairs."""
    hidden: list[Tensor] = field(default_factory=list)
    """Inside each pair."""


def _check(old: Sequence[LevelConfig], new: Sequence[LevelConfig]) -> None:
    if len(old) != len(new):
        raise ValueError(f"a network of {len(old)} levels cannot begin one of {len(new)}")
    for a, b in zip(old, new, strict=True):
        couplings = (b.blocks, b.coupling_width)
        if a.kept != b.kept or couplings not in ((a.blocks, a.coupling_width), (0, 0)):
            raise ValueError("kept channels must stay as they are, and couplings stay or go")
        if 0 < b.survey < a.survey or 0 < b.hint < a.hint:
            raise ValueError("a survey or hint can come, grow or go, not get narrower")
        if a.whole and not b.whole:
            raise ValueError("whole can come, not go")


def _inputs(
    context: int, more: int, old: LevelConfig, new: LevelConfig
) -> list[tuple[int, slice | None]]:
    """Parts of the first convolution's inputs, in order: where each begins in the new, and where
    it was in the old. ``more``: new ones among the noisy channels, of which they are the first."""
    parts: list[tuple[int, slice | None]] = []
    at_new = at_old = 0
    for width_new, width_old in ((context,) * 2, (new.survey, old.survey), (new.hint, old.hint)):
        there = slice(at_old, at_old + width_old) if width_old and width_new else None
        parts.append((at_new, there))
        at_new, at_old = at_new + width_new, at_old + width_old
    return [*parts, (at_new + more, slice(at_old, None))]


def _take_inputs(
    target: nn.Conv2d, source: nn.Conv2d, outputs: Tensor, parts: list[tuple[int, slice | None]]
) -> None:
    """As :func:`_take`, for inputs that lie in other places."""
    _take(target, source, outputs, _all(0))
    for start, old in parts:
        if old is not None:
            weight = source.weight[outputs][:, old]
            target.weight[: len(outputs), start : start + weight.shape[1]] = weight


def _take(target: nn.Conv2d, source: nn.Conv2d, outputs: Tensor, inputs: Tensor) -> None:
    """Copy the weights of some outputs for some inputs to the first ones of the target.

    The other inputs of these outputs get weights of 0; the other outputs stay as they are.
    """
    assert target.bias is not None
    assert source.bias is not None
    kept = len(outputs)
    target.bias[:kept] = source.bias[outputs]
    target.weight[:kept] = 0.0
    target.weight[:kept, : len(inputs)] = source.weight[outputs][:, inputs]


def _take_outputs(target: nn.Conv2d, source: nn.Conv2d, inputs: Tensor, more: int) -> None:
    """Copy a last convolution's weights, where gates and biases of ``more`` channels come first.

    The new ones begin with weights of 0.
    """
    assert target.bias is not None
    assert source.bias is not None
    old = _all(source.out_channels)
    new = old + more * (1 + old // (source.out_channels // 2))
    weight = torch.zeros_like(target.weight)
    weight[new, : len(inputs)] = source.weight[:, inputs]
    target.weight.copy_(weight)
    target.bias[new] = source.bias


def _all(count: int) -> Tensor:
    return torch.arange(count)


def _conv(module: nn.Module) -> nn.Conv2d:
    conv = module.conv
    assert isinstance(conv, nn.Conv2d)
    return conv


def _features(net: InvDN, levels: Sequence[LevelConfig], images: Sequence[Tensor]) -> list[_Kept]:
    energy: dict[nn.Module, Tensor] = {}

    def measure(module: nn.Module, _: object, output: Tensor) -> None:
        energy[module] = energy.get(module, torch.zeros(())) + output.square().mean((0, 2, 3))

    measured = [
        module
        for posterior in net.posteriors
        if isinstance(posterior, Posterior)
        for module in (posterior.conv_in, *posterior.pairs, *(p.act for p in _pairs(posterior)))
    ]
    handles = [module.register_forward_hook(measure) for module in measured]
    for image in images:
        net.denoise(image)
    for handle in handles:
        handle.remove()
    result = []
    for posterior, config in zip(net.posteriors, levels, strict=True):
        assert isinstance(posterior, Posterior)
        width = config.posterior_width
        if width >= posterior.conv_in.out_channels:
            everything = _all(posterior.conv_in.out_channels)
            result.append(_Kept(everything, [everything] * len(posterior.pairs)))
            continue
        if not images:
            raise ValueError("images are needed to tell which features matter")
        pairs = _pairs(posterior)
        sources = [posterior.conv_in, *pairs]
        users = [*(pair.conv1 for pair in pairs), posterior.conv_out]
        importance = torch.stack(
            [energy[s] * _energy_of_use(u) for s, u in zip(sources, users, strict=True)]
        ).sum(0)
        kept = _Kept(_largest(importance, width))
        for pair in pairs[: config.posterior_pairs]:
            use = pair.conv2.weight[kept.stream].square().sum((0, 2, 3))
            kept.hidden.append(_largest(energy[pair.act] * use, width))
        result.append(kept)
    return result


def _pairs(posterior: Posterior) -> list[ResidualPair]:
    return [pair for pair in posterior.pairs if isinstance(pair, ResidualPair)]


def _energy_of_use(conv: nn.Conv2d) -> Tensor:
    return conv.weight.square().sum((0, 2, 3))


def _largest(importance: Tensor, count: int) -> Tensor:
    return importance.topk(count).indices.sort().values
