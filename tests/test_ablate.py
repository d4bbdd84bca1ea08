"""scripts/ablate.py: one change at a time, equal time, a table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import pyvips

from invdn.config import TrainConfig, build, read_toml
from invdn.net.invdn import InvDN, LevelConfig
from samples import scene

REPOSITORY = Path(__file__).parents[1]
BASE = """
[base]
run = "run"
warmup_steps = 2
workers = 0
precision = "fp32"
optimiser = "adamw"

[base.network]
levels = [
    { blocks = 1, coupling_width = 4, kept = 6, posterior_width = 8, posterior_pairs = 1 },
]

[base.data]
clean = ["clean"]
crop_px = 16
real_crops = 0
gaussian_crops = 1
camera_crops = 1

[[base.validation]]
name = "white"
folder = "clean"
crop_px = 24
sigma_8bit = 25

[[variant]]
name = "as it is"

[[variant]]
name = "wider"
set = { network = { levels = [
    { blocks = 1, coupling_width = 4, kept = 6, posterior_width = 12, posterior_pairs = 1 },
] } }
"""


def ablate(folder: Path, *arguments: str) -> str:
    command = [sys.executable, str(REPOSITORY / "scripts/ablate.py"), str(folder / "changes.toml")]
    command += ["--root", str(folder), "-o", str(folder / "results.jsonl")]
    done = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def test_runs_what_is_missing_and_prints_a_row_a_variant(tmp_path: Path) -> None:
    (tmp_path / "changes.toml").write_text(BASE, encoding="utf-8")
    (tmp_path / "clean").mkdir()
    pyvips.Image.new_from_array(scene(64, 64)).write_to_file(str(tmp_path / "clean/a.png"))
    ablate(tmp_path, "--steps", "12", "--only", "as it is")
    table = ablate(tmp_path, "--steps", "12", "--seeds", "0,1", "--only", "as it is")
    lines = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    results = [json.loads(line) for line in lines]
    assert [(r["variant"], r["seed"]) for r in results] == [("as it is", 0), ("as it is", 1)]
    assert [result["steps"] for result in results] == [12, 12]
    scores = [result["psnr"]["white"] for result in results]
    assert scores[0] != scores[1]
    half_range = abs(scores[0] - scores[1]) / 2
    row = table.splitlines()[-1]
    assert row.startswith("| as it is ")
    assert f"{sum(scores) / 2:.2f} ± {half_range:.2f}" in row
    assert row.endswith("| 2 |")
    # Settings that have changed are other settings, whatever the variant is called.
    changed = BASE.replace("crop_px = 16", "crop_px = 32")
    (tmp_path / "changes.toml").write_text(changed, encoding="utf-8")
    table = ablate(tmp_path, "--steps", "12", "--only", "as it is")
    lines = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert table.splitlines()[-1].endswith("| 1 |")


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    (tmp_path / "changes.toml").write_text(BASE, encoding="utf-8")
    for arguments, complaint in (
        (("--only", "as it is|nope"), "--only: there is no variant called nope"),
        (("--root", str(tmp_path / "none")), "is not a folder"),
    ):
        with pytest.raises(subprocess.CalledProcessError) as error:
            ablate(tmp_path, "--steps", "1", *arguments)
        assert error.value.returncode == 2
        assert error.value.stderr.splitlines()[-1].endswith(complaint)


def test_a_change_replaces_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "changes.toml").write_text(BASE, encoding="utf-8")
    (tmp_path / "clean").mkdir()
    pyvips.Image.new_from_array(scene(64, 64)).write_to_file(str(tmp_path / "clean/a.png"))
    table = ablate(tmp_path, "--minutes", "0.001", "--only", "wider")
    result = json.loads((tmp_path / "results.jsonl").read_text(encoding="utf-8"))
    widths = [p for p in (8, 12) if f"| {macs(p) / 1000:.0f} k |" in table]
    assert widths == [12]
    assert result["macs_per_pixel"] == macs(12)
    assert result["steps"] >= 60
    assert "as it is" not in table


def test_the_changes_that_come_with_it_are_valid() -> None:
    table = read_toml(REPOSITORY / "scripts/ablations.toml")
    build(TrainConfig, table["base"], "base")
    for variant in table["variant"]:
        build(TrainConfig, {"run": "run"} | variant.get("set", {}), variant["name"])


def macs(posterior_width: int) -> float:
    return InvDN((LevelConfig(1, 4, 6, posterior_width, 1),)).macs_per_pixel()
