"""Scores equal scikit-image's on the written files; protocols keep to their files' structure."""

from __future__ import annotations

import base64
import csv
import errno
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from typer.testing import CliRunner

import invdn
from invdn import images
from invdn.batch import UsageError
from invdn.cli import _print_scores, app
from invdn.data import dnd, sidd
from invdn.data.pairs import Pair
from invdn.data.patches import read_rgb8
from invdn.denoiser import load_denoiser
from invdn.evaluate import (
    Method,
    default_methods,
    dnd_submission,
    evaluate,
    resolve_methods,
    sidd_test,
)
from invdn.evaluate import sidd_validation as sidd_val
from invdn.metrics import psnr
from invdn.report import html_report

RNG = np.random.default_rng(5)


def half_way(image: np.ndarray, strength: float) -> np.ndarray:
    """Pulls every pixel a quarter of the way to the mean, times the strength."""
    mean = image.mean(dtype=np.float64)
    moved = image + 0.25 * strength * (mean - image)
    return (np.rint(moved) if image.dtype == np.uint8 else moved).astype(image.dtype)


FAKE = Method("fake", half_way, (0.0, 0.5, 1.0))


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(images.Photo(pixels, "png"), path)


def pair(name: str = "a", sigma: float = 20.0, side: int = 40) -> Pair:
    clean = np.full((side, side + 8, 3), 120, np.uint8)
    clean[: side // 2] = 135
    noise = RNG.normal(0, sigma, clean.shape)
    return Pair(name, np.clip(clean + noise, 0, 255).round().astype(np.uint8), clean)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        made = pair(sigma=10.0 + 5 * number)
        write(tmp_path / "set" / "noisy" / f"{number}.png", made.noisy)
        write(tmp_path / "set" / "clean" / f"{number}.png", made.clean)
    return tmp_path / "set"


def invoke(*arguments: object) -> Any:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_scores_equal_scikit_image_on_the_written_files(folder: Path, tmp_path: Path) -> None:
    out, table, saved = tmp_path / "out.json", tmp_path / "out.csv", tmp_path / "saved"
    result = invoke(
        *("--data", folder, "--methods", "tv,wavelet"),
        *("--json", out, "--csv", table, "--save", saved),
    )
    assert result.exit_code == 0, result.stderr
    content = json.loads(out.read_text())
    assert [row["method"] for row in content["rows"]] == ["tv", "wavelet"]
    for row in content["rows"]:
        scores = []
        for number in range(3):
            clean = read_rgb8(folder / "clean" / f"{number}.png")
            restored = read_rgb8(saved / row["method"] / f"{number}.png")
            noisy = read_rgb8(folder / "noisy" / f"{number}.png")
            scores.append(
                (
                    peak_signal_noise_ratio(clean, restored),
                    structural_similarity(clean, restored, channel_axis=-1, data_range=255),
                    peak_signal_noise_ratio(clean, restored)
                    - peak_signal_noise_ratio(clean, noisy),
                )
            )
        expected = np.mean(scores, axis=0)
        assert [row["psnr"], row["ssim"], row["gain"]] == pytest.approx(expected, abs=1e-6)
        assert row["n"] == 3
        assert row["s_per_mp"] > 0
        assert row["worst_gain"] == pytest.approx(min(s[2] for s in scores), abs=1e-6)
    rows = list(csv.DictReader(table.open()))
    assert float(rows[0]["psnr"]) == content["rows"][0]["psnr"]
    assert f"{content['rows'][0]['psnr']:.2f}" in result.stdout


def test_models_by_file(small_net: Any, small_model_path: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    checkpoint = tmp_path / "mine.safetensors"
    save_file(small_net.state_dict(), checkpoint)
    with ExitStack() as resources:
        methods = resolve_methods([str(small_model_path), str(checkpoint)], resources, threads=1)
        assert [m.name for m in methods] == ["small", "mine"]
        results = [m.restore(pair(side=32).noisy, 1.0) for m in methods]
        assert results[0].shape == (32, 40, 3)
        again = evaluate([pair()], methods)
        image = pair(side=32).noisy
        (turned,) = resolve_methods([f"{small_model_path}@4"], resources, threads=1)
        assert turned.name == "small@4"
        expected = load_denoiser(small_model_path, device="cpu", threads=1)(image, turns=4)
        np.testing.assert_array_equal(turned.restore(image, 1.0), expected)
    rows = again.rows()
    assert rows[0]["n"] == rows[1]["n"] == 1
    assert rows[0]["psnr"] == pytest.approx(rows[1]["psnr"], abs=0.01)  # the same network


def test_oracle_is_at_least_the_blind_setting_and_marked() -> None:
    pairs = [pair("a", 5.0), pair("b", 60.0)]
    blind = evaluate(pairs, [FAKE])
    best = evaluate(pairs, [FAKE], oracle=True)
    assert all(b.psnr >= a.psnr for a, b in zip(blind.results, best.results, strict=True))
    assert {r.strength for r in best.results} <= set(FAKE.oracle_strengths)
    assert best.rows()[0]["oracle"]
    assert not blind.rows()[0]["oracle"]


def test_seconds_of_an_oracle_are_the_methods_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("invdn.evaluate.time.perf_counter", lambda: now[0])

    def restore(image: np.ndarray, strength: float) -> np.ndarray:
        now[0] += 2.0
        return half_way(image, strength)

    def slow_psnr(*images: np.ndarray) -> float:
        now[0] += 100.0
        return psnr(*images)

    monkeypatch.setattr("invdn.evaluate.psnr", slow_psnr)
    method = Method("slow", restore, FAKE.oracle_strengths)
    assert evaluate([pair()], [method], oracle=True).results[0].seconds == 2.0


def test_examples_are_the_largest_gains_and_losses() -> None:
    pairs = [pair(str(sigma), sigma) for sigma in (1.0, 10.0, 30.0, 80.0)]
    kept = evaluate(pairs, [FAKE], examples=1).examples
    assert [e.image for e in kept] == ["80.0", "1.0"]
    assert kept[0].gain > 0 > kept[1].gain
    assert kept[0].noisy.shape == (40, 48, 3)


def test_images_of_one_name_are_told_apart(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "some" / "x" / "1.png", pair().clean)
    write(tmp_path / "some" / "y" / "1.png", pair().clean[:32])
    images.write(images.Photo(pair().clean, "png"), tmp_path / "some" / "y" / "1.tif")
    found = tmp_path / "found.json"
    arguments = ("--data", tmp_path / "some", "--sigma", 5, "--methods", "tv")
    result = invoke(*arguments, "--save", tmp_path / "saved", "--json", found)
    assert result.exit_code == 0, result.stderr
    (row,) = json.loads(found.read_text())["rows"]
    assert row["n"] == 3
    saved = (tmp_path / "saved" / "tv").rglob("*.png")
    names = {path.relative_to(tmp_path / "saved" / "tv").as_posix() for path in saved}
    assert names == {"x/1.png", "y/1.png.png", "y/1.tif.png"}


def test_mistakes_are_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "there.json").write_text("{}")
    for name, side in (("tiny", 6), ("small", 7)):
        write(tmp_path / name / "a.png", np.zeros((side, side, 3), np.uint8))
    text, cut = tmp_path / "text", tmp_path / "cut"
    for broken in (text, cut):
        write(broken / "noisy" / "a.png", pair().noisy)
        write(broken / "clean" / "a.png", pair().clean)
    (text / "clean" / "a.png").write_text("no picture")
    whole = (cut / "noisy" / "a.png").read_bytes()
    (cut / "noisy" / "a.png").write_bytes(whole[: len(whole) // 2])
    cases = {
        ("--data", text, "--methods", "tv"): f"{text / 'clean' / 'a.png'} cannot be read",
        ("--data", cut, "--methods", "tv"): f"{cut / 'noisy' / 'a.png'} cannot be read",
        ("--data", tmp_path / "tiny", "--sigma", 5, "--methods", "tv"): "a is too small: 7 pixels",
        (
            "--data",
            tmp_path / "small",
            "--sigma",
            5,
            "--methods",
            "sparse",
        ): "a is too small for sparse: 16 pixels",
        ("--data", folder, "--methods", "nonsense"): "nonsense",
        ("--data", tmp_path / "nowhere", "--methods", "tv"): "nowhere",
        ("--data", folder, "--methods", "tv,tv"): "two methods called tv",
        ("--data", folder / "nope", "--methods", "tv"): f"there is no folder {folder / 'nope'}",
        ("--data", folder, "--protocol", "sidd"): "unknown protocol",
        ("--data", folder, "--protocol", "dnd", "--methods", "tv"): "--submission",
        ("--data", folder, "--methods", "tv", "--json", tmp_path / "there.json"): "exists already",
        ("--data", folder, "--grain", 0.7): "--grain needs --sigma",
        ("--data", folder, "--enlarged", 2): "--enlarged needs --sigma",
        ("--data", folder, "--methods", "tv", "--sigma", 5, "--enlarged", 9): "from 1 to 8, not 9",
        ("--data", folder, "--protocol", "sidd-val", "--sigma", 3): "leave --sigma",
        ("--data", folder, "--methods", "tv", "--json", "x", "--csv", "x"): "x is named twice",
        ("--data", folder, "--json", tmp_path, "--overwrite"): f"{tmp_path} is a folder",
        ("--data", folder, "--methods", "tv", "--save", folder): "would become a part of",
        ("--data", folder, "--methods", "tv", "--save", folder / "clean" / "x"): "become a part",
        ("--data", folder, "--methods", "tv", "--save", text / "clean" / "a.png"): "file exists",
        ("--data", folder, "--methods", "tv", "--draws", 3): "go with --noise",
        ("--data", folder, "--noise", "--sigma", 10): "leave --sigma out",
        ("--data", folder, "--methods", "tv", "--sigma", "inf"): "sigma must be a number",
        (
            "--data",
            folder,
            "--methods",
            "fast@02,fast@2",
        ): "there is no method fast@02: use one of these: best, fast, photo, ",
    }
    for arguments, said in cases.items():
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_images_are_counted_in_good_english(capsys: pytest.CaptureFixture[str]) -> None:
    for count, said in ((1, "1 image"), (2, "2 images")):
        _print_scores(evaluate([pair(f"{number}") for number in range(count)], [FAKE]))
        assert capsys.readouterr().out.splitlines()[-1] == said


def test_saved_results_are_replaced_only_when_told(folder: Path, tmp_path: Path) -> None:
    arguments = ("--data", folder, "--methods", "tv", "--save", tmp_path / "saved")
    assert invoke(*arguments).exit_code == 0
    (tmp_path / "saved" / "noisy" / "0.png").unlink()
    again = invoke(*arguments)
    assert again.exit_code == 2
    assert f"{tmp_path / 'saved' / 'noisy' / '1.png'}: the output exists" in again.stderr
    assert not (tmp_path / "saved" / "noisy" / "0.png").exists()  # found before the work
    assert invoke(*arguments, "--overwrite").exit_code == 0


def test_the_smallest_picture_is_found_before_the_work() -> None:
    worked: list[int] = []
    counting = Method("counting", lambda x, _: worked.append(1) or x, (1.0,), smallest_px=16)
    with pytest.raises(UsageError, match="b is too small for counting: 16 pixels"):
        evaluate([pair("a"), pair("b", side=12)], [counting])
    assert worked == []
    with pytest.raises(UsageError, match="no images"):
        evaluate([], [FAKE])


def test_methods_are_not_called_like_the_inputs(small_model_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "noisy.onnx"
    path.write_bytes(small_model_path.read_bytes())
    with ExitStack() as resources, pytest.raises(UsageError, match="cannot be called noisy"):
        resolve_methods([str(path)], resources, threads=1)


def test_equal_pictures_are_named_where_means_are_infinite() -> None:
    same = Pair("same", pair().clean, pair().clean)
    evaluation = evaluate([pair("a"), same], [FAKE])
    (notice,) = evaluation.notices
    assert notice.startswith("same equals its clean picture")
    assert json.loads(evaluation.as_json())["noisy"]["psnr"] is None
    assert "infinite" in html_report(evaluation)
    assert evaluate([pair("a")], [FAKE]).notices == []


def test_a_report_without_any_finite_mean() -> None:
    """A black picture comes back black, whatever the method."""
    black = Pair("black", np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40, 3), np.uint8))
    assert "restored a picture exactly" in html_report(evaluate([pair("a"), black], [FAKE]))


def test_names_command_neither_terminal_nor_table(folder: Path) -> None:
    for kind in ("noisy", "clean"):
        (folder / kind / "0.png").rename(folder / kind / ":cat:\x1b[31m[b].png")
        for number in (1, 2):
            (folder / kind / f"{number}.png").unlink()
    result = invoke("--data", folder, "--methods", "tv")
    assert result.exit_code == 0, result.stderr
    assert ":cat:\\x1b[31m[b]" in result.stdout
    assert "\x1b" not in result.stdout


def test_what_is_not_installed_is_said_before_the_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("matplotlib", "skimage"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(
        "invdn.evaluate.resolve_methods", lambda *_, **__: pytest.fail("work has begun")
    )
    result = invoke("--data", folder, "--methods", "photo", "--report", tmp_path / "a.html")
    assert result.exit_code == 2
    assert result.stderr == "invdn: --report needs matplotlib: pip install 'invdn[eval]'\n"
    defaults = default_methods()
    assert "tv" not in defaults
    assert {"photo", "wavelet"} <= set(defaults)


def test_a_file_that_cannot_be_written_costs_that_file_only(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    atomically = images.atomically

    def full(path: Path, **options: Any) -> Any:
        if path.suffix == ".json":
            raise OSError(errno.ENOSPC, "No space left on device")
        return atomically(path, **options)

    monkeypatch.setattr(images, "atomically", full)

    def no_page(evaluation: object) -> str:
        raise ValueError("no page")

    monkeypatch.setattr("invdn.report.html_report", no_page)
    files = ("--json", tmp_path / "a.json", "--report", tmp_path / "a.html")
    files += ("--csv", tmp_path / "a.csv")
    result = invoke("--data", folder, "--methods", " tv, ", *files)
    assert result.exit_code == 1
    assert f"{tmp_path / 'a.json'} cannot be written: no space left" in result.stderr
    assert f"{tmp_path / 'a.html'} cannot be written: ValueError('no page')" in result.stderr
    assert len(result.stderr.splitlines()) == 2
    assert (tmp_path / "a.csv").is_file()
    assert "tv" in result.stdout


# --- SIDD ----------------------------------------------------------------------------------------


@pytest.fixture
def sidd_folder(tmp_path: Path) -> Path:
    shape = (2, 3, 24, 24, 3)  # images, blocks, height, width, channels, as in the published files
    folder = tmp_path / "sidd"
    folder.mkdir()
    for name in ("ValidationNoisyBlocksSrgb", "ValidationGtBlocksSrgb", "BenchmarkNoisyBlocksSrgb"):
        savemat(folder / f"{name}.mat", {name: RNG.integers(0, 256, shape, dtype=np.uint8)})
    return folder


def test_sidd_validation(sidd_folder: Path) -> None:
    noisy = loadmat(sidd_folder / "ValidationNoisyBlocksSrgb.mat")["ValidationNoisyBlocksSrgb"]
    clean = loadmat(sidd_folder / "ValidationGtBlocksSrgb.mat")["ValidationGtBlocksSrgb"]
    pairs = list(sidd_val(sidd_folder))
    assert [p.name for p in pairs] == ["01-01", "01-02", "01-03", "02-01", "02-02", "02-03"]
    assert np.array_equal(pairs[4].noisy, noisy[1, 1])
    assert np.array_equal(pairs[4].clean, clean[1, 1])
    expected = [
        peak_signal_noise_ratio(clean[i, j], half_way(noisy[i, j], 1.0))
        for i in range(2)
        for j in range(3)
    ]
    assert evaluate(pairs, [FAKE]).rows()[0]["psnr"] == pytest.approx(np.mean(expected))


def test_sidd_submission(sidd_folder: Path, tmp_path: Path) -> None:
    path, speed = sidd_test(sidd_folder, FAKE, tmp_path / "out")
    assert path == tmp_path / "out" / "SubmitSrgb.mat"
    noisy = loadmat(sidd_folder / "BenchmarkNoisyBlocksSrgb.mat")["BenchmarkNoisyBlocksSrgb"]
    content = loadmat(path)
    denoised = content["DenoisedBlocksSrgb"]
    assert denoised.dtype == np.uint8
    assert denoised.shape == noisy.shape
    assert np.array_equal(denoised[1, 2], half_way(noisy[1, 2], 1.0))
    assert content["TimeMPSrgb"].item() == pytest.approx(speed)
    rows = list(csv.DictReader((tmp_path / "out" / "SubmitSrgb.csv").open()))
    assert [row["ID"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    decoded = [np.frombuffer(base64.b64decode(row["BLOCK"]), np.uint8) for row in rows]
    assert np.array_equal(np.reshape(decoded, denoised.shape), denoised)


def test_a_submission_that_cannot_be_written_is_known_before_the_work(
    sidd_folder: Path, dnd_folder: Path, tmp_path: Path
) -> None:
    never = Method("never", lambda *_: pytest.fail("work has begun"), (1.0,))
    file, sidd_out, dnd_out = tmp_path / "file", tmp_path / "sidd_out", tmp_path / "dnd_out"
    file.write_text("")
    for there in (sidd_out / "SubmitSrgb.csv", dnd_out / "0002_02.mat"):
        there.parent.mkdir()
        there.write_text("there")
        out = there.parent
        submit, data = (sidd_test, sidd_folder) if out == sidd_out else (dnd_submission, dnd_folder)
        with pytest.raises(UsageError, match=f"^{there}: the output exists already"):
            submit(data, never, out)
        with pytest.raises(UsageError, match=f"^{file}: file exists"):
            submit(data, never, file)


def test_sidd_from_the_command_line(sidd_folder: Path, tmp_path: Path) -> None:
    result = invoke(
        *("--data", sidd_folder, "--protocol", "sidd-test", "--methods", "tv"),
        *("--submission", tmp_path / "out"),
    )
    assert result.exit_code == 0, result.stderr
    assert "SubmitSrgb.mat: tv" in result.stdout


def test_sidd_files_that_cannot_be_used(sidd_folder: Path) -> None:
    noisy = sidd_folder / "ValidationNoisyBlocksSrgb.mat"
    savemat(noisy, {"ValidationNoisyBlocksSrgb": np.zeros((2, 3))})
    assert_refused(sidd_folder, noisy.name, sidd.URL)
    savemat(noisy, {"other": np.zeros(2)})
    assert_refused(sidd_folder, "holds no array", sidd.URL)
    noisy.write_bytes(b"not a MATLAB file" * 20)
    assert_refused(sidd_folder, "not a readable MATLAB file", sidd.URL)
    noisy.unlink()
    assert_refused(sidd_folder, "is missing", sidd.URL)


def assert_refused(folder: Path, *said: str) -> None:
    result = invoke("--data", folder, "--protocol", "sidd-val", "--methods", "tv")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    for text in said:
        assert text in result.stderr


# --- DND -----------------------------------------------------------------------------------------

BOXES = [[[1, 1, 20, 24], [11, 5, 40, 30]], [[3, 2, 22, 25], [1, 21, 30, 40]]]  # from 1, inclusive


@pytest.fixture
def dnd_folder(tmp_path: Path) -> Path:
    """HDF5 as MATLAB 7.3 writes it: everything transposed, cells as references."""
    folder = tmp_path / "dnd"
    (folder / "images_srgb").mkdir(parents=True)
    with h5py.File(folder / "info.mat", "w") as file:
        info = file.create_group("info")
        references = info.create_dataset("boundingboxes", (1, len(BOXES)), dtype=h5py.ref_dtype)
        for i, boxes in enumerate(BOXES):
            name = f"#refs#/{i}"
            file[name] = np.array(boxes, np.float64).T
            references[0, i] = file[name].ref
    for i in range(len(BOXES)):
        with h5py.File(folder / "images_srgb" / f"{i + 1:04d}.mat", "w") as file:
            file["InoisySRGB"] = RNG.random((40, 48, 3)).astype(np.float32).T
    return folder


def test_dnd(dnd_folder: Path, tmp_path: Path) -> None:
    crops = list(dnd.noisy_crops(dnd_folder))
    assert [c.pixels.shape for c in crops] == [(20, 24, 3), (30, 26, 3), (20, 24, 3), (30, 20, 3)]
    with h5py.File(dnd_folder / "images_srgb" / "0001.mat") as file:
        photo = file["InoisySRGB"][()].T
    assert np.array_equal(crops[1].pixels, photo[10:40, 4:30])

    path, speed = dnd_submission(dnd_folder, FAKE, tmp_path / "out")
    assert path == tmp_path / "out" / "bundled"
    assert speed > 0
    single = loadmat(tmp_path / "out" / "0001_02.mat")["Idenoised_crop"]
    assert single.dtype == np.float32
    assert np.allclose(single, half_way(crops[1].pixels, 1.0))
    bundle = loadmat(path / "0002.mat")
    cells = bundle["Idenoised"].ravel()
    assert [c.shape for c in cells] == [(20, 24, 3), (30, 20, 3)]
    assert np.allclose(cells[1], half_way(crops[3].pixels, 1.0))
    assert not bundle["israw"].item()
    assert bundle["eval_version"].item() == "1.0"


def test_what_is_done_of_dnd_is_bundled(dnd_folder: Path, tmp_path: Path) -> None:
    """A photo's bundle is written before the next photo is read."""
    (dnd_folder / "images_srgb" / "0002.mat").unlink()
    with pytest.raises(UsageError, match=r"0002\.mat is missing"):
        dnd_submission(dnd_folder, FAKE, tmp_path / "out")
    assert (tmp_path / "out" / "bundled" / "0001.mat").is_file()


def test_dnd_crops_of_one_size_stay_cells(tmp_path: Path) -> None:
    dnd.write_bundle(tmp_path, 0, [np.zeros((4, 5, 3), np.float32)] * 3)
    cells = loadmat(tmp_path / "bundled" / "0001.mat")["Idenoised"]
    assert cells.dtype == object
    assert cells.ravel()[2].shape == (4, 5, 3)


def test_dnd_files_that_cannot_be_used(dnd_folder: Path, tmp_path: Path) -> None:
    photo = dnd_folder / "images_srgb" / "0002.mat"
    for spoil, said in (
        (lambda: photo.write_bytes(b"x"), "0002.mat cannot be read"),
        (photo.unlink, "0002.mat is missing"),
        ((dnd_folder / "info.mat").unlink, "info.mat is missing"),
    ):
        spoil()
        with pytest.raises(UsageError, match=said) as caught:
            dnd_submission(dnd_folder, FAKE, tmp_path / "out", overwrite=True)
        assert dnd.URL in str(caught.value)
        assert "\n" not in str(caught.value)


def test_photos_that_a_method_refuses_are_named(
    dnd_folder: Path, sidd_folder: Path, small_denoiser: invdn.Denoiser, tmp_path: Path
) -> None:
    method = Method("small", lambda x, s: small_denoiser(x, strength=s), (1.0,))
    photo = dnd_folder / "images_srgb" / "0002.mat"
    with h5py.File(photo, "r+") as file:
        file["InoisySRGB"][0, 5, 5] = np.nan
    with pytest.raises(UsageError, match=f"^{photo}: small: .*NaN"):
        dnd_submission(dnd_folder, method, tmp_path / "dnd_out")

    def refuse(*_: object) -> np.ndarray:
        raise ValueError("too small")

    blocks = sidd_folder / "BenchmarkNoisyBlocksSrgb.mat"
    with pytest.raises(UsageError, match=f"^{blocks}: other: too small"):
        sidd_test(sidd_folder, Method("other", refuse, (1.0,)), tmp_path / "sidd_out")


def test_evaluation_needs_no_pytorch() -> None:
    code = "import sys, invdn.evaluate, invdn.report; print('torch' in sys.modules)"
    source = str(Path(invdn.__file__).parents[1])
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "False\n"
