"""The device "openvino" is tested in a process of its own.

With OpenVINO and PyTorch in one process a later training test once ended in a segmentation fault.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="the package openvino is not installed"
)
def test_openvino() -> None:
    tests = Path(__file__).with_name("openvino_device.py")
    command = [sys.executable, "-m", "pytest", "-q", str(tests)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
