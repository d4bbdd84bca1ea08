"""Noise: reproducible, of the level asked for, without seams, and from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from typer.testing import CliRunner  # noqa: E402

from invdn import images, noise_photos  # noqa: E402
from invdn import noise as making  # noqa: E402
from invdn.cli import app  # noqa: E402
from invdn.data.pairs import load_pairs  # noqa: E402
from invdn.net.noise_head import NoiseModel  # noqa: E402
from invdn.noise import (  # noqa: E402
    Character,
    add_noise,
    calibrated,
    camera_character,
    character_of,
    load_noise_model,
    perturb,
)
from invdn.runtime import ModelError  # noqa: E402

EXAMPLE = Path(__file__).parents[1] / "examples/clean/coffee.jpg"


@pytest.fixture(scope="module")
def model() -> NoiseModel:
    """A fresh network, which is close to a wavelet transform, and a fresh head: white noise."""
    from invdn.net.invdn import InvDN, LevelConfig

    torch.manual_seed(0)
    net = InvDN((LevelConfig(1, 8, 6, 8, 1), LevelConfig(1, 8, 12, 8, 1)))
    with torch.no_grad():
        for posterior in net.posteriors:  # which removes all detail: right on flat pictures
            posterior.conv_out.weight.zero_()
            posterior.conv_out.bias[: len(posterior.conv_out.bias) // 2] = -20.0
        posterior.conv_out.bias[:3] = 20.0  # and keeps the averages
    return NoiseModel(net).eval()


@pytest.fixture(scope="module")
def model_path(model: NoiseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("noise") / "noise.safetensors"
    save_file(model.state_dict(), path)
    return path


def grey(height: int = 96, width: int = 120, dtype: str = "uint8") -> np.ndarray:
    pixels = np.full((height, width, 3), 0.5, np.float32)
    return pixels if dtype == "float32" else images.to_depth(pixels, dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_level_shape_and_type(model: NoiseModel, dtype: str) -> None:
    clean = grey(93, 117, dtype)
    noisy = add_noise(clean, model, Character(12.0), seed=1)
    assert (noisy.shape, noisy.dtype) == (clean.shape, clean.dtype)
    scale = 255 / making.largest_value(clean)
    residual = (noisy.astype(np.float64) - clean) * scale
    assert residual.std() == pytest.approx(12.0, rel=0.15)
    assert abs(residual.mean()) < 1.0
    assert np.array_equal(clean, grey(93, 117, dtype))


def test_seed(model: NoiseModel) -> None:
    clean = grey()
    first = add_noise(clean, model, Character(8.0), seed=3)
    assert np.array_equal(first, add_noise(clean, model, Character(8.0), seed=3))
    assert not np.array_equal(first, add_noise(clean, model, Character(8.0), seed=4))
    assert np.array_equal(add_noise(clean, model, Character(0.0)), clean)


def test_tiles_do_not_show(model: NoiseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = grey(400, 280)
    whole = add_noise(clean, model, Character(15.0)).astype(int)
    by_tiles = making._by_tiles
    monkeypatch.setattr(making, "_by_tiles", lambda i, m, f: by_tiles(i, m, f, tile=192))
    tiled = add_noise(clean, model, Character(15.0)).astype(int)
    assert np.abs(tiled - whole).max() <= 1
    # Nor in the statistics: the variance of every band of rows is that of the others.
    bands = (tiled - clean).reshape(10, 40, 280, 3).std(axis=(1, 2, 3))
    assert bands.max() / bands.min() < 1.1


def test_like_measures_level_and_character(model: NoiseModel) -> None:
    clean = grey(160, 160, "float32")
    rng = np.random.default_rng(0)
    common = rng.normal(size=(160, 160, 1))
    noise = 0.05 * (0.9 * common + 0.44 * rng.normal(size=clean.shape))
    character = character_of((clean + noise).astype(np.float32), model)
    assert character.level_8bit == pytest.approx(255 * noise.std(), rel=0.25)
    made = add_noise(clean, model, character) - clean
    correlation = np.corrcoef(made.reshape(-1, 3).T)
    assert correlation[0, 1] > 0.5  # grey noise stays grey
    assert correlation[0, 2] > 0.5


def test_like_follows_the_brightness(model: NoiseModel) -> None:
    """Noise that is four times as strong in the bright: also where the new picture is bright."""
    rng = np.random.default_rng(0)
    dark_and_bright = np.full((256, 256, 3), 0.25, np.float32)
    dark_and_bright[:, 128:] = 0.75
    sigma = np.where(dark_and_bright > 0.5, 16 / 255, 4 / 255)
    reference = dark_and_bright + sigma * rng.normal(size=sigma.shape)
    character = character_of(reference.astype(np.float32), model)
    assert character.curve_8bit is not None
    assert character.curve_8bit.shape == (3, making.BRIGHTNESS_BANDS)
    mostly_dark = np.full((128, 256, 3), 0.25, np.float32)
    mostly_dark[:, 192:] = 0.75
    noisy = add_noise(mostly_dark, model, calibrated(mostly_dark, model, character), seed=1)
    assert np.array_equal(noisy, add_noise(mostly_dark, model, character, seed=1))
    made = 255 * (noisy - mostly_dark)
    dark, bright = made[:, :180].std(), made[:, 204:].std()
    assert bright / dark == pytest.approx(4, rel=0.25)
    assert bright == pytest.approx(16, rel=0.3)


def test_flat_blocks_and_what_varies_within_them() -> None:
    image = torch.full((1, 3, 64, 96), 0.5)
    image[..., 32:] += 0.1 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    flat = making._flat_blocks(image)
    assert flat.tolist() == [[True, False, False], [True, False, False]]
    latent = torch.zeros(1, 2, 32, 48)
    latent[:, 1, :, ::2] = 2.0
    latent[..., 16:] = 99.0
    within = making._within_blocks(latent, image, flat)
    assert within.shape == (2, 2 * 16 * 16)
    assert within[0].abs().max() == 0
    assert within[1].var(correction=0).item() == pytest.approx(256 / 255)


@pytest.mark.parametrize("size", [(56, 96), (120, 120), (128, 200)])
def test_blocks_of_a_latent_are_where_those_of_the_image_are(size: tuple[int, int]) -> None:
    """Also where the blocks leave a rest of the image over."""
    height, width = size
    image = 0.5 + 0.1 * torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    row, column = (height // 32 - 1) * 32, (width // 32 - 1) * 32
    image[..., row : row + 32, column : column + 32] = 0.5
    flat = making._flat_blocks(image)
    assert flat[-1, -1]
    only = torch.zeros_like(flat)
    only[-1, -1] = True
    latent = image[..., ::4, ::4]
    assert making._within_blocks(latent, image, only).abs().max() < 1e-6


def test_perturbation_of_the_own_latent(model: NoiseModel) -> None:
    rng = np.random.default_rng(1)
    noisy = np.clip(grey() + rng.normal(0, 20, grey().shape), 0, 255).astype(np.uint8)
    assert np.array_equal(perturb(noisy, model, 0.0), noisy)
    changes = [
        (perturb(noisy, model, epsilon).astype(int) - noisy).std() for epsilon in (0.25, 0.5)
    ]
    assert 0 < changes[0] < changes[1]
    assert np.array_equal(perturb(noisy, model, 0.5, seed=2), perturb(noisy, model, 0.5, seed=2))


def test_what_a_perturbation_adds_is_a_share_of_what_is_taken_away() -> None:
    """Though the shipped network's couplings stretch latents."""
    shipped = making.load_noise_model()
    clean = images.as_rgb8(images.read(EXAMPLE)).pixels[:256, :256]
    noise = np.random.default_rng(1).normal(0, 15, clean.shape)
    noisy = np.clip(clean + noise, 0, 255).round().astype(np.uint8)
    for epsilon in (0.25, 1.0):
        added = perturb(noisy, shipped, epsilon, seed=1).astype(float) - noisy
        assert np.sqrt((added**2).mean()) == pytest.approx(15 * epsilon, rel=0.15)
    flat = grey(64, 64)
    assert np.abs(perturb(flat, shipped, 0.5).astype(int) - flat).max() <= 1


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (1, 17), (31, 1), (5, 5), (20, 3)])
def test_tiles_for_statistics_are_spread_both_ways(rows: int, columns: int) -> None:
    y, x = np.mgrid[: 256 * rows : 8, : 256 * columns : 8].astype(np.float32)
    image = np.stack((y, x, x), axis=2).repeat(8, 0).repeat(8, 1)
    tiles = making._sample_tiles(image, 4)
    assert 11 <= len(tiles) <= 16
    for axis, count in ((0, rows), (1, columns)):
        # Where tiles begin, as shares of the picture: all parts of it are seen.
        seen = np.array([float(tile[0, axis, 0, 0]) / (256 * count) for tile in tiles])
        parts = min(4, count)
        assert set((seen * parts).astype(int)) == set(range(parts))


def test_camera_levels_are_those_of_training(model: NoiseModel) -> None:
    levels = [camera_character(model, seed).level_8bit for seed in range(200)]
    stored = model.head.levels_8bit
    assert float(stored[0]) <= min(levels)
    assert max(levels) <= float(stored[-1])
    assert np.std(levels) > 3
    assert camera_character(model, 5) == camera_character(model, 5)


def test_the_shipped_model_makes_the_level_that_is_asked_for() -> None:
    shipped = making.load_noise_model()
    clean = images.as_rgb8(images.read(EXAMPLE)).pixels[:256, :256]
    for level in (5.0, 20.0):
        made = add_noise(clean, shipped, Character(level), seed=1)
        assert (made.astype(float) - clean).std() == pytest.approx(level, rel=0.15)


@pytest.mark.parametrize("contrast", [64, 128])
def test_a_fine_pattern_does_not_take_all_of_the_noise(contrast: int) -> None:
    """On a part that is like nothing the head has seen."""
    shipped = making.load_noise_model()
    clean = images.as_rgb8(images.read(EXAMPLE)).pixels[:192, :192].copy()
    y, x = np.mgrid[:24, :24]
    checks = (y + x) % 2 * contrast + 64
    part = np.zeros((192, 192), bool)
    part[80:104, 80:104] = True
    changed = clean.copy()
    changed[part] = checks.reshape(-1, 1)
    usual, noise = (
        add_noise(picture, shipped, Character(10.0), seed=1).astype(float) - picture
        for picture in (clean, changed)
    )
    assert noise[~part].std() > 0.3 * usual[~part].std()
    assert noise.std() == pytest.approx(10, rel=0.5)


def test_the_nearest_trial_counts_where_none_is_near_enough() -> None:
    """A strength that jumps: 7 below a factor of 1, 12 above."""
    factor = making._factor_for(8.0, lambda factor: 7.0 if factor < 1 else 12.0)
    assert factor < 1
    # A factor a million times too large is found to be so.
    assert making._factor_for(10.0, lambda factor: 1e7 * factor) == pytest.approx(1e-6, rel=0.03)


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("wanted", [1.0, 45.0])
def test_the_strength_is_found_whatever_it_grows_with(power: float, wanted: float) -> None:
    def made(factor: float) -> float:
        return 20.0 * factor**power if factor < 1.3 else 20.0 * 1.3**power * (factor / 1.3) ** 5

    assert made(making._factor_for(wanted, made)) == pytest.approx(wanted, rel=0.03)


def test_weak_noise_is_corrected_more_than_strong() -> None:
    estimates = (0.0, 0.5, 2.0, 6.0, 30.0)
    levels = [making._level(estimate) for estimate in estimates]
    assert levels == sorted(levels)
    assert levels[0] == 0.0
    factors = [level / estimate for level, estimate in zip(levels[1:], estimates[1:], strict=True)]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == pytest.approx(1.06, abs=0.01)


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), 1e30])
def test_wrong_levels_are_refused(model: NoiseModel, wrong: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 127"):
        add_noise(grey(), model, Character(wrong))
    with pytest.raises(ValueError, match="from 0 to 4"):
        perturb(grey(), model, wrong)
    with pytest.raises(ValueError, match="height, width, 3"):
        add_noise(grey()[..., 0], model, Character(1.0))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 200.0, -1.0])
def test_floats_that_are_no_picture_are_refused(model: NoiseModel, wrong: float) -> None:
    image = grey(dtype="float32")
    image[3, 4, 1] = wrong
    recipe = calibrated(grey(), model, Character(3.0))
    for refuse in (
        lambda: add_noise(image, model, Character(0.0)),
        lambda: add_noise(image, model, recipe),
        lambda: perturb(image, model, 0.25, factor=1.0),
        lambda: character_of(image, model),
    ):
        with pytest.raises(ValueError, match=r"not finite numbers|must be in .0, 1."):
            refuse()


# --- the command line ----------------------------------------------------------------------------


def invoke(*arguments: object) -> Any:
    result = CliRunner().invoke(app, ["noise", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def photo(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(images.Photo(pixels, images.format_of(path)), path)
    return path


def test_one_photo_and_its_variants(model_path: Path, tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png", grey())
    common = ("--model", model_path, "--level", 10, "--seed", 4)
    result = invoke(source, "-o", tmp_path / "one.png", *common)
    assert result.exit_code == 0, result.stderr
    made = images.read(tmp_path / "one.png").pixels.astype(float) - 128
    assert result.stdout == f"{tmp_path / 'one.png'}: σ {np.sqrt((made**2).mean()):.1f}\n"
    assert made.std() == pytest.approx(10, rel=0.1)
    result = invoke(source, "-o", tmp_path / "many", "--variants", 2, *common)
    assert result.exit_code == 0, result.stderr
    first, second = (images.read(tmp_path / "many" / f"a-{i}.png").pixels for i in (1, 2))
    assert np.array_equal(first, images.read(tmp_path / "one.png").pixels)
    assert not np.array_equal(first, second)
    again = invoke(source, "-o", tmp_path / "one.png", *common)
    assert again.exit_code == 1
    assert f"{tmp_path / 'one.png'}: " in again.stderr
    assert "exists already" in again.stderr
    broken = tmp_path / "broken.png"
    broken.write_bytes(source.read_bytes()[:60])
    result = invoke(broken, "-o", tmp_path / "never.png", *common)
    assert result.exit_code == 1
    assert f"{broken}: " in result.stderr  # the file that is at fault, not the one to write


def test_pairs_for_training(model_path: Path, tmp_path: Path) -> None:
    photo(tmp_path / "in" / "deep" / "a.jpg", grey())
    photo(tmp_path / "in" / "b.png", grey(64, 64, "uint16"))
    result = invoke(
        *(tmp_path / "in", "--recursive", "--pairs", tmp_path / "out"),
        *("--camera", "--model", model_path),
    )
    assert result.exit_code == 0, result.stderr
    pairs = load_pairs(tmp_path / "out")
    assert len(pairs) == 2
    for pair in pairs:
        level = (pair.noisy.astype(float) - pair.clean).std()
        assert 1.0 < level < 40.0


def test_pairs_never_replace_the_photos_they_are_made_of(model_path: Path, tmp_path: Path) -> None:
    common = ("--level", 5, "--model", model_path)
    source = photo(tmp_path / "set" / "clean" / "a.png", grey(64, 64, "uint16"))
    before = source.read_bytes()
    for more in ((), ("--overwrite",)):
        result = invoke(source.parent, "--pairs", tmp_path / "set", *common, *more)
        assert result.exit_code == 2
        assert f"the output {source} is an input" in result.stderr
        assert source.read_bytes() == before
        assert not (tmp_path / "set" / "noisy").exists()
    # Below the photos' own folder there is nothing to be replaced.
    result = invoke(source.parent, "--pairs", source.parent, *common)
    assert result.exit_code == 0, result.stderr
    assert len(load_pairs(source.parent)) == 1
    # Nor may a variant take the name of another photo.
    named = photo(tmp_path / "a-1.png", grey())
    before = named.read_bytes()
    result = invoke(named, "-o", tmp_path / "a.png", *common, "--variants", 2, "--overwrite")
    assert result.exit_code == 2
    assert named.read_bytes() == before


def test_photos_that_would_make_the_same_pair_are_refused(model_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name in ("a.jpg", "a.png", "b.png"):
        photo(folder / name, grey(64, 64))
    common = ("--level", 5, "--model", model_path)
    result = invoke(folder, "--pairs", tmp_path / "out", *common)
    assert result.exit_code == 1
    assert result.stderr.count("would both become") == 2
    assert [pair.name for pair in load_pairs(tmp_path / "out")] == ["b"]
    result = invoke(folder / "b.png", "--pairs", tmp_path / "out.png", *common)
    assert result.exit_code == 2
    assert "--pairs names a folder" in result.stderr


def test_no_half_pair_beside_a_clean_picture_that_is_there(
    model_path: Path, tmp_path: Path
) -> None:
    source = photo(tmp_path / "a.png", grey(64, 64))
    there = photo(tmp_path / "out" / "clean" / "a.png", grey(32, 32))
    result = invoke(source, "--pairs", tmp_path / "out", "--level", 5, "--model", model_path)
    assert result.exit_code == 1
    assert f"{there}: the output exists already" in result.stderr
    assert not (tmp_path / "out" / "noisy").exists()


def test_what_is_said_of_each_picture(model_path: Path, tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png", grey(64, 64))
    result = invoke(source, "-o", tmp_path / "b.jpg", "--perturb", 0.25, "--model", model_path)
    assert result.stdout == f"{tmp_path / 'b.jpg'}: ε 0.25\n"
    # A name that promises another format, as an example of what reading has to say.
    misnamed = (tmp_path / "b.jpg").rename(tmp_path / "b.png")
    common = ("--level", 5, "--model", model_path)
    result = invoke(misnamed, "-o", tmp_path / "o", "--variants", 2, *common)
    assert result.stderr == f"invdn: {misnamed}: this is really a JPEG file\n"
    # A folder that cannot be made: one line, and the other photos are done.
    (tmp_path / "file").write_text("")
    result = invoke(source, "-o", tmp_path / "file" / "c.png", *common)
    assert result.exit_code == 1
    assert f"{tmp_path / 'file' / 'c.png'}: cannot write {tmp_path / 'file'}: " in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_like_and_grey_and_alpha(model_path: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rough = np.clip(grey() + rng.normal(0, 15, grey().shape), 0, 255).astype(np.uint8)
    reference = photo(tmp_path / "noisy.png", rough)
    alpha = rng.integers(0, 256, (96, 120, 1), dtype=np.uint8)
    source = photo(tmp_path / "a.png", np.concatenate((grey(), alpha), axis=2))
    flat = photo(tmp_path / "b.png", grey()[..., 0])
    result = invoke(source, flat, "-o", tmp_path / "o", "--like", reference, "--model", model_path)
    assert result.exit_code == 0, result.stderr
    made = images.read(tmp_path / "o" / "a.png").pixels
    assert np.array_equal(made[..., 3], alpha[..., 0])
    assert (made[..., :3].astype(int) - 128).std() == pytest.approx(15, rel=0.3)
    assert images.read(tmp_path / "o" / "b.png").pixels.squeeze().shape == (96, 120)


def test_a_grey_photo_gets_the_level_too(tmp_path: Path) -> None:
    """The shipped model's red is noisier than the mean of its channels."""
    shipped = making.load_noise_model()
    flat = images.read(EXAMPLE).pixels[:256, :256, 1]
    for recipe, wanted in (
        (noise_photos.Recipe(shipped, level_8bit=12.0), 12.0),
        (noise_photos.Recipe(shipped, level_8bit=5.0), 5.0),
    ):
        made, level = noise_photos._noisy(flat, recipe, None, seed=1)
        assert made.shape == flat.shape
        assert level == pytest.approx(wanted, rel=0.03)
        assert level == pytest.approx(np.sqrt(((made.astype(float) - flat) ** 2).mean()))


def test_no_half_pair_where_the_clean_picture_cannot_be_written(
    model_path: Path, tmp_path: Path
) -> None:
    source = photo(tmp_path / "a.png", grey(64, 64))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clean").write_text("a file where a folder is needed")
    result = invoke(source, "--pairs", tmp_path / "out", "--level", 5, "--model", model_path)
    assert result.exit_code == 1
    assert "cannot write" in result.stderr
    assert not list((tmp_path / "out" / "noisy").iterdir())


@pytest.mark.parametrize(
    ("key", "change", "said"),
    [
        ("net.posteriors.0.conv_in.weight", lambda x: x.sum(), "has 0 dimensions, not 4"),
        ("net.levels.0.couplings.0.f.0.bias", lambda x: x.sum(), "size mismatch for net"),
        ("head.heads.0.0.weight", lambda x: x.to(torch.complex64), "heads.0.0.weight is complex64"),
        ("head.levels_8bit", lambda x: x.long(), "levels_8bit is int64"),
        ("head.character_levels_8bit", lambda x: x.sum(), "Missing key"),
    ],
)
def test_broken_models_are_refused_in_one_line(
    model: NoiseModel, tmp_path: Path, key: str, change: Any, said: str
) -> None:
    from safetensors.torch import save_file

    state = model.state_dict()
    state[key] = change(state.get(key, torch.ones(2)))
    save_file(state, tmp_path / "broken.safetensors")
    with pytest.raises(ModelError, match=f"is not a noise model: .*({said})") as error:
        load_noise_model(tmp_path / "broken.safetensors")
    assert "\n" not in str(error.value)


def test_mistakes_are_one_line(model_path: Path, tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png", grey())
    out = ("-o", tmp_path / "o")
    cases: dict[tuple[object, ...], str] = {
        (*out, "--model", model_path): "one of --level",
        (*out, "--level", 3, "--camera", "--model", model_path): "one of --level",
        ("--level", 3, "--model", model_path): "-o OUT or --pairs",
        (*out, "--level", 3, "--model", tmp_path / "no.safetensors"): "no noise model",
        (*out, "--level", 3, "--model", source): "is not a noise model",
        (*out, "--like", tmp_path / "no.png", "--model", model_path): "no.png",
        (*out, "--level", 500, "--model", model_path): "from 0 to 127.5, not 500",
        (*out, "--level", "nan", "--model", model_path): "from 0 to 127.5, not nan",
        (*out, "--perturb", 1e30, "--model", model_path): "from 0 to 4, not 1e+30",
    }
    for arguments, said in cases.items():
        result = invoke(source, *arguments)
        assert result.exit_code == 2, arguments
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1
