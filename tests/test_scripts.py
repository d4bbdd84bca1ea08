"""The scripts that make one run's weights the start, or a part, of another's."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")

from invdn.net.invdn import InvDN, LevelConfig, infer_levels  # noqa: E402

SCRIPTS = Path(__file__).parents[1] / "scripts"
SMALL = (LevelConfig(1, 4, 6, 6, 1),)
WIDER = """
run = "run"
[network]
levels = [
    { blocks = 1, coupling_width = 4, kept = 6, posterior_width = 8, posterior_pairs = 2 },
]
"""


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_checkpoint_begins_a_run_of_other_sizes(tmp_path: Path, suffix: str) -> None:
    net = InvDN(SMALL)
    old, config = tmp_path / f"old.{suffix}", tmp_path / "wider.toml"
    if suffix == "pt":
        torch.save({"average": net.state_dict()}, old)
    else:
        safetensors_torch.save_file(net.state_dict(), old)
    config.write_text(WIDER)
    made = run("resize_checkpoint.py", old, config)
    assert made.returncode == 0, made.stderr
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["step"] == 0
    larger = InvDN(infer_levels(state["average"]))
    assert larger.config[0].posterior_pairs == 2
    larger.load_state_dict(state["average"])
    image = torch.rand(1, 3, 16, 16)
    assert (larger.denoise(image) - net.denoise(image)).abs().max() < 1e-6
    again = run("resize_checkpoint.py", old, config)
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_what_cannot_be_resized_is_said_in_one_line(tmp_path: Path) -> None:
    published = {"operations.0.x": torch.zeros(1)}
    safetensors_torch.save_file(published, tmp_path / "published.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"garbage")
    sys.path.insert(0, str(SCRIPTS))
    try:
        script = importlib.import_module("resize_checkpoint")
    finally:
        sys.path.remove(str(SCRIPTS))
    for name in ("published.safetensors", "damaged.safetensors", "missing/checkpoint.pt"):
        with pytest.raises(script.ExportError) as error:
            script.load(tmp_path / name)
        assert len(str(error.value).splitlines()) == 1
    pixels = torch.zeros(75, 100, 3, dtype=torch.uint8).numpy()
    assert script.whole_blocks(pixels, 8).shape == (1, 3, 72, 96)


def test_what_is_no_run_is_not_shipped(tmp_path: Path) -> None:
    others = tmp_path / "others.safetensors"
    safetensors_torch.save_file({"x": torch.zeros(1)}, others, metadata={"steps": "3"})
    (tmp_path / "damaged.safetensors").write_bytes(b"garbage")
    for name, complaint in (
        ("missing.safetensors", "is missing"),
        ("others.safetensors", "holds no weights of a training run"),
        ("damaged.safetensors", "holds no weights of a training run"),
    ):
        options = ("--name", "x", "--version", "1", "--validation", tmp_path, "--trained-on", "x")
        refused = run("ship_weights.py", tmp_path / name, *options)
        assert refused.returncode == 2
        assert refused.stderr.splitlines()[-1].endswith(complaint)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_the_speed_benchmarks_memory_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its command is replaced by one that takes 60 MB for a moment."""
    monkeypatch.syspath_prepend(str(SCRIPTS.parent / "benchmarks"))
    speed = importlib.import_module("speed")
    takes = [sys.executable, "-c", "import time; x = bytearray(60_000_000); time.sleep(0.5)"]
    monkeypatch.setattr(speed, "_command", lambda *_: takes)
    monkeypatch.setattr(speed, "make", lambda *_: None)
    speed._memory(["photo"], [0.25], "1", tmp_path)
    row = capsys.readouterr().out.splitlines()[-1].split("|")
    assert row[1].strip() == "photo"
    assert 60 <= int(row[3]) < 150


def test_weights_are_averaged_by_their_shares(tmp_path: Path) -> None:
    nets = [InvDN(SMALL), InvDN(SMALL)]
    given = []
    for number, net in enumerate(nets):
        path = tmp_path / f"{number}.safetensors"
        safetensors_torch.save_file(net.state_dict(), path, metadata={"step": str(7 * number)})
        given.append(f"{path}:{3 - 2 * number}")
    output = tmp_path / "mean" / "weights.safetensors"
    made = run("average_weights.py", *given, "-o", output)
    assert made.returncode == 0, made.stderr
    mean = safetensors_torch.load_file(output)
    first, second = (net.state_dict() for net in nets)
    for key, value in mean.items():
        torch.testing.assert_close(value, 0.75 * first[key] + 0.25 * second[key])
    with safetensors_torch.safe_open(output, "pt") as file:
        assert file.metadata() == {"step": "7"}
    other = tmp_path / "other.safetensors"
    wider = InvDN((LevelConfig(1, 4, 6, 8, 1),))
    safetensors_torch.save_file(wider.state_dict(), other, metadata={"step": "1"})
    refused = run("average_weights.py", given[0], f"{other}:1", "-o", tmp_path / "x.safetensors")
    assert refused.returncode == 2
    assert "differ in their sizes" in refused.stderr
    for wrong, complaint in (
        (str(other), "has no share"),
        ("none.safetensors:1", "be read"),
        (given[0].removesuffix("3") + "-3", "must not be negative"),
    ):
        refused = run("average_weights.py", given[0], wrong, "-o", tmp_path / "x.safetensors")
        assert refused.returncode == 2
        assert complaint in refused.stderr
    refused = run("average_weights.py", *given, "-o", other / "x.safetensors")
    assert refused.returncode == 2
    assert "x.safetensors cannot be written: " in refused.stderr
