"""How weights are written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from invdn.training.checkpoint import write_tensors


def test_tensors_come_back_with_what_is_said_of_them(tmp_path: Path) -> None:
    path = tmp_path / "new" / "weights.safetensors"
    weight = torch.rand(2, 3, 3, 3).contiguous(memory_format=torch.channels_last)
    write_tensors({"weight": weight}, path, {"step": "7"})
    with safe_open(path, "pt") as file:
        assert torch.equal(file.get_tensor("weight"), weight)
        assert file.metadata() == {"step": "7"}
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    before = os.umask(0o027)
    try:
        write_tensors({"weight": torch.ones(1)}, path, {})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
