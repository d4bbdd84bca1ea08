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

    A posterior may get narrower, and lose or gain residual pairs: of its features those stay whose
    energy on the images, times that of the weights that use them, is largest, and of its pairs the
    first; a new pair comes last and begins by adding 0. Surveys and hints may come or go: the
    weights that use new ones begin at 0. So a network that only gains them computes what ``net``
    does, exactly, and a narrower one nearly.

    Source of the growth: T. Chen et al., *Net2Net*, ICLR 2016; of the choice of features, in
    spirit: P. Molchanov et al., *Pruning Convolutional Neural Networks*, ICLR 2017.

    Args:
        net: The trained network; it is not changed.
        levels: Sizes of the new one.
        images: Noisy images ``[N, 3, H, W]`` in [0, 1], as the network is to work on, H and W
            multiples of ``net.multiple``; used only where something gets narrower.

    Raises:
        ValueError: where the sizes differ in something else, or a posterior would get wider, or a
            survey or hint of another width than it has.
    """
    levels = tuple(levels)
    _check(net.config, levels)
    features = _features(net, levels, images)
    result = InvDN(levels)
    result.levels.load_state_dict(net.levels.state_dict())
    for i, (old, new) in enumerate(zip(net.config, levels, strict=True)):
        source, target = net.posteriors[i], result.posteriors[i]
        assert isinstance(source, Posterior)
        assert isinstance(target, Posterior)
        kept = features[i]
        _take(target.conv_in, source.conv_in, kept.stream, slice(0))
        context = 0 if i == len(levels) - 1 else new.kept
        _take_inputs(target.conv_in, source.conv_in, kept.stream, _inputs(context, old, new))
        pairs = zip(_pairs(target), _pairs(source), kept.hidden, strict=False)
        for pair, other, hidden in pairs:
            _take(pair.conv1, other.conv1, hidden, kept.stream)
            _take(pair.conv2, other.conv2, kept.stream, hidden)
        for pair in _pairs(target)[old.posterior_pairs :]:
            scale_last_layer(pair.conv2, 0.0)
        _take(target.conv_out, source.conv_out, slice(None), kept.stream)
    for name, survey in result.surveys.items():
        if name in net.surveys:
            survey.load_state_dict(net.surveys[name].state_dict())
    for name, hint in result.hints.items():
        if name in net.hints:
            coarser = features[int(name) + 1].stream
            _take(_conv(hint), _conv(net.hints[name]), slice(None), coarser)
    return result


@dataclass
class _Kept:
    """Which features of a posterior stay."""

    stream: Tensor
    """Of what runs through the residual pairs."""
    hidden: list[Tensor] = field(default_factory=list)
    """Inside each pair."""


def _check(old: Sequence[LevelConfig], new: Sequence[LevelConfig]) -> None:
    if len(old) != len(new):
        raise ValueError(f"a network of {len(old)} levels cannot begin one of {len(new)}")
    for a, b in zip(old, new, strict=True):
        if (a.blocks, a.coupling_width, a.kept) != (b.blocks, b.coupling_width, b.kept):
            raise ValueError("couplings and kept channels must stay as they are")
        if b.posterior_width > a.posterior_width:
            raise ValueError("a posterior can get narrower, not wider")
        if (a.survey and b.survey not in (0, a.survey)) or (a.hint and b.hint not in (0, a.hint)):
            raise ValueError("a survey or hint can come or go, not change its width")


def _inputs(context: int, old: LevelConfig, new: LevelConfig) -> list[tuple[slice, slice | None]]:
    """Parts of the first convolution's inputs, in order: where each is in the new and the old."""
    parts: list[tuple[slice, slice | None]] = []
    at_new = at_old = 0
    for width_new, width_old in ((context,) * 2, (new.survey, old.survey), (new.hint, old.hint)):
        there = slice(at_old, at_old + width_old) if width_old and width_new else None
        parts.append((slice(at_new, at_new + width_new), there))
        at_new, at_old = at_new + width_new, at_old + width_old
    return [*parts, (slice(at_new, None), slice(at_old, None))]


def _take_inputs(
    target: nn.Conv2d, source: nn.Conv2d, outputs: Tensor, parts: list[tuple[slice, slice | None]]
) -> None:
    target.weight.zero_()
    for new, old in parts:
        if old is not None:
            target.weight[:, new] = source.weight[outputs][:, old]


def _take(
    target: nn.Conv2d, source: nn.Conv2d, outputs: Tensor | slice, inputs: Tensor | slice
) -> None:
    """Copy the bias, and the weights of some inputs, for some outputs."""
    assert target.bias is not None
    assert source.bias is not None
    target.bias.copy_(source.bias[outputs])
    weight = source.weight[outputs][:, inputs]
    if weight.shape == target.weight.shape:
        target.weight.copy_(weight)


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
        if width == posterior.conv_in.out_channels:
            everything = torch.arange(width)
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
