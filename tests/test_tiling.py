"""The laws that the module's docstring states, for many sizes."""

from __future__ import annotations

import numpy as np
import pytest

from invdn.tiling import Blender, Span, parts, spans, windows

SETTINGS = [
    # tile, halo, multiple, blend
    (768, 48, 8, 16),
    (128, 24, 8, 16),
    (104, 8, 8, 16),
    (64, 6, 2, 8),
    (40, 2, 2, 16),
    (24, 0, 8, 0),
    (37, 3, 1, 4),
    (160, 64, 4, 8),
]
SIZES = [1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129, 136, 160, 200, 333, 1000, 1537, 4001, 100_003]


def plan(size: int, setting: tuple[int, int, int, int]) -> tuple[Span, ...]:
    tile, halo, multiple, blend = setting
    return spans(size, tile=tile, halo=halo, multiple=multiple, blend=blend)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_laws_along_one_axis(size: int, setting: tuple[int, int, int, int]) -> None:
    tile, halo, multiple, _ = setting
    total = np.zeros(size, np.float32)
    done = 0
    lengths = set()
    for span in plan(size, setting):
        length = span.stop - span.start + span.padding
        lengths.add(length)
        assert 0 <= span.start < span.stop <= size
        assert span.start % multiple == length % multiple == 0
        assert length <= tile
        assert 0 <= span.padding < multiple
        assert span.start <= span.keep_start < span.done_stop <= span.keep_stop <= span.stop
        assert span.keep_start == done
        done = span.done_stop
        assert (span.weights > 0).all()
        total[span.keep_start : span.keep_stop] += span.weights
        trusted = np.arange(span.keep_start, span.keep_stop)[span.weights >= 0.5]
        if span.start > 0:
            assert trusted.min() - span.start >= halo
        if span.stop < size:
            assert span.stop - 1 - trusted.max() >= halo
    assert done == size
    assert (total == 1).all()  # exactly
    assert len(lengths) == 1


@pytest.mark.parametrize("setting", SETTINGS)
def test_laws_for_every_small_size(setting: tuple[int, int, int, int]) -> None:
    for size in range(1, 5 * setting[0] if setting[0] < 200 else 900):
        total = np.zeros(size, np.float32)
        done = 0
        for span in plan(size, setting):
            total[span.keep_start : span.keep_stop] += span.weights
            assert span.keep_start == done < span.done_stop
            done = span.done_stop
        assert done == size
        assert (total == 1).all()


def test_weights_in_two_dimensions_sum_to_exactly_one() -> None:
    total = np.zeros((203, 310), np.float32)
    for window in windows(203, 310, tile=104, halo=8, multiple=8):
        rows, columns = window.rows, window.columns
        area = np.s_[rows.keep_start : rows.keep_stop, columns.keep_start : columns.keep_stop]
        total[area] += window.weights
    assert (total == 1).all()


def test_small_image_is_one_window() -> None:
    (span,) = spans(100, tile=104, halo=16, multiple=8)
    assert (span.start, span.stop, span.padding) == (0, 100, 4)


def test_windows_are_no_longer_than_needed() -> None:
    first, second = spans(800, tile=768, halo=48, multiple=8)
    assert (first.start, first.stop) == (0, 448)
    assert (second.start, second.stop) == (352, 800)


def test_neighbours_hand_over_in_the_middle() -> None:
    first, second = spans(800, tile=768, halo=48, multiple=8)
    assert (second.keep_start, first.keep_stop) == (392, 408)
    assert first.done_stop == second.keep_start


@pytest.mark.parametrize(("halo", "width"), [(16, 16), (8, 16), (6, 8), (2, 4), (0, 0)])
def test_a_hand_over_is_as_wide_as_the_overlap_allows(halo: int, width: int) -> None:
    first, _ = spans(150, tile=104, halo=halo, multiple=2, blend=16)
    assert first.keep_stop - first.done_stop == width


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size 0"),
        ({"multiple": 0}, "multiple 0"),
        ({"halo": -8}, "halo -8 is too small"),
        ({"halo": 12}, "halo 12 is not a multiple of 8"),
        ({"tile": 100}, "tile 100 is not a multiple of 8"),
        ({"tile": 64}, "tile 64 is too small for halo 16"),
        ({"blend": 12}, "power of two"),
        ({"blend": 1}, "power of two"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments: dict[str, int], message: str) -> None:
    fitting = {"size": 500, "tile": 128, "halo": 16, "multiple": 8, "blend": 16}
    with pytest.raises(ValueError, match=message):
        spans(**{**fitting, **arguments})


@pytest.mark.parametrize("blend", [0, 16])
def test_blender_is_the_weighted_sum(blend: int) -> None:
    """Compared with adding everything up in an image-sized array."""
    height, width = 217, 330
    rng = np.random.default_rng(0)
    expected = np.zeros((height, width, 3), np.float32)
    result = np.full((height, width, 3), np.nan, np.float32)
    blender = Blender(width)
    for window in windows(height, width, tile=120, halo=8, multiple=8, blend=blend):
        rows, columns = window.rows, window.columns
        values = rng.random((*window.weights.shape, 3), np.float32)
        expected[rows.keep_start : rows.keep_stop, columns.keep_start : columns.keep_stop] += (
            values * window.weights[:, :, None]
        )
        assert np.isnan(result[rows.done, columns.done]).all()  # each pixel comes once
        result[rows.done, columns.done] = blender.add(window, values)
    np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("size", [(130, 900), (900, 130), (1000, 1500), (37, 37), (3000, 4000)])
def test_the_grid_computes_few_pixels_in_windows_of_bounded_area(size: tuple[int, int]) -> None:
    sizes = {"tile": 400, "halo": 40, "multiple": 8}
    plan = list(windows(*size, **sizes))
    areas = [
        (w.rows.stop - w.rows.start + w.rows.padding)
        * (w.columns.stop - w.columns.start + w.columns.padding)
        for w in plan
    ]
    assert max(areas) <= 400**2
    rows, columns = (spans(side, **sizes) for side in size)
    plain = len(rows) * (rows[0].stop + rows[0].padding) * len(columns)
    assert sum(areas) <= plain * (columns[0].stop + columns[0].padding)
    if min(size) == 130:
        assert sum(areas) < 1.15 * size[0] * size[1]  # long windows: cut in one direction only


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        ((slice(0, 300), slice(0, 200)), (300, 200)),
        ((slice(31, 277), slice(60, 200)), (300, 200)),
        ((slice(5, 8), slice(7, 9)), (16, 16)),
        ((slice(0, 640), slice(121, 500)), (640, 640)),
        ((slice(0, 20), slice(3, 5)), (64, 32)),
    ],
)
@pytest.mark.parametrize("multiple", [2, 32])
@pytest.mark.parametrize("halo", [13, 14])
def test_parts_cover_what_is_wanted_once(
    wanted: tuple[slice, slice], size: tuple[int, int], multiple: int, halo: int
) -> None:
    rows, columns = wanted
    times = np.zeros((rows.stop - rows.start, columns.stop - columns.start), int)
    for cuts in parts(rows, columns, *size, tile=120, halo=halo, width_multiple=multiple):
        seen = cuts[1].seen
        assert (seen.stop - seen.start) % multiple == 0 or size[1] < multiple
        times[cuts[0].target, cuts[1].target] += 1
        for cut, axis, length in zip(cuts, wanted, size, strict=True):
            assert cut.seen.start % 2 == cut.seen.stop % 2 == 0
            first, last = cut.seen.start + cut.inner.start, cut.seen.start + cut.inner.stop
            assert (first, last) == (axis.start + cut.target.start, axis.start + cut.target.stop)
            assert cut.seen.start in (0, min(cut.seen.start, first - halo))
            assert cut.seen.stop in (length, max(cut.seen.stop, last + halo))
    assert (times == 1).all()
