"""The command line: exit statuses, what goes to stdout and to stderr, and no traceback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from typer.testing import CliRunner

import invdn
from invdn import batch, images, manifest, process, workers
from invdn.cli import app
from invdn.runtime import DEVICES

FAKE_PATH = str(Path(__file__).with_name("fake_worker.py"))
FAKE = f"import runpy; runpy.run_path({FAKE_PATH!r}, run_name='__main__')"
# A command line whose denoiser removes nothing, see there.
COMMAND = f"""
import invdn.process
invdn.process.PROGRAM = {FAKE!r}
from invdn.cli import main
main()
"""


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the fake denoiser that the command line then uses writes how it was called."""
    monkeypatch.setattr(process, "PROGRAM", FAKE)
    path = tmp_path_factory.mktemp("notes") / "notes.jsonl"
    monkeypatch.setenv("INVDN_TEST_NOTES", str(path))
    return path


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(images.Photo(np.full((6, 8, 3), 9, np.uint8), images.format_of(path)), path)
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != manifest.NAME)


def invoke(*arguments: object) -> Any:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def environment(**more: str) -> dict[str, str]:
    source = str(Path(invdn.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": source, **more}


def command(*arguments: object, **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "invdn.cli", *(os.fsencode(str(a)) for a in arguments)],
        env=environment(**more),
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.usefixtures("notes")
def test_results_go_to_stdout(tmp_path: Path) -> None:
    a = photo(tmp_path / "a.png")
    result = invoke("denoise", a, "-o", tmp_path / "out")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    output = tmp_path / "out" / "a.png"
    assert re.fullmatch(rf"{a}: 0\.0 MP in \d\.\d s, {output}", lines[0])
    assert re.fullmatch(r"1 done \(0\.0 MP in \d\.\d s\)", lines[1])
    assert result.stderr == ""
    assert output.exists()


@pytest.mark.usefixtures("notes")
def test_some_failed(tmp_path: Path) -> None:
    a = photo(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"?")
    result = invoke("denoise", a, tmp_path / "b.png", tmp_path / "c.png", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"invdn: {tmp_path / 'b.png'}: is not a PNG file, nor any other picture that can be read",
        f"invdn: {tmp_path / 'c.png'}: {images.NO_SUCH_FILE}",
    ]
    assert result.stdout.splitlines()[-1].endswith(", 2 failed")
    assert (tmp_path / "out" / "a.png").exists()


@pytest.mark.usefixtures("notes")
@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such names")
def test_a_name_cannot_break_a_line_or_command_a_terminal(tmp_path: Path) -> None:
    good, bad = tmp_path / "a\nb.png", tmp_path / "c\x1b[31m\u202e.png"
    photo(good)
    bad.write_bytes(b"?")
    result = invoke("denoise", good, bad, "-o", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["a\nb.png"]
    assert result.stdout.splitlines()[0].startswith(f"{tmp_path}/a\\nb.png: ")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"invdn: {tmp_path}/c\\x1b[31m\\u202e.png: is not a PNG")


def test_an_empty_argument_is_not_the_current_folder(tmp_path: Path) -> None:
    for arguments in (("denoise", "", "-o", tmp_path), ("denoise", tmp_path, "-o", "")):
        result = command(*arguments)
        assert result.returncode == 2
        assert b"an argument is empty" in result.stderr


@pytest.mark.usefixtures("notes")
def test_whether_a_photo_can_be_read_is_not_asked_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One without permission has to fail by itself, and not the others with it. Tests may run as
    # root, who can read everything.
    a = photo(tmp_path / "a.png")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(os.fsdecode(path)) != a)
    result = invoke("denoise", a, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr


@pytest.mark.usefixtures("notes")
def test_what_is_there_is_skipped_with_status_0(tmp_path: Path) -> None:
    a = photo(tmp_path / "a.png")
    photo(tmp_path / "out" / "a.png")
    result = invoke("denoise", a, "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert "skipped: the output exists already" in result.stderr
    assert result.stdout.endswith(", 1 skipped\n")
    result = invoke("denoise", a, "-o", tmp_path / "out", "--overwrite")
    assert result.stdout.splitlines()[-1].startswith("1 done")


@pytest.mark.usefixtures("notes")
def test_a_file_that_was_named_and_is_not_made_has_status_1(tmp_path: Path) -> None:
    a = photo(tmp_path / "a.png")
    result = invoke("denoise", a, "-o", photo(tmp_path / "clean.png"))
    assert result.exit_code == 1
    assert "skipped: the output exists already" in result.stderr


@pytest.mark.usefixtures("notes")
def test_a_skipped_photo_counts_in_the_progress_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, float]] = []

    @contextmanager
    def noting(jobs: object) -> Iterator[Any]:
        yield lambda job, fraction: told.append((job.input.name, fraction))

    monkeypatch.setattr("invdn.cli._progress_bar", noting)
    photo(tmp_path / "in" / "a.png")
    invoke("denoise", tmp_path / "in", "-o", tmp_path / "out")
    told.clear()
    invoke("denoise", tmp_path / "in", "-o", tmp_path / "out")
    assert told == [("a.png", 1.0)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_results_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    for arguments in (["info"], ["denoise", tmp_path / "a.png", "-o", tmp_path / "out"]):
        with Path("/dev/full").open("w") as full:
            result = subprocess.run(
                [sys.executable, "-c", COMMAND, *arguments],
                env=environment(),
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=60,
                check=False,
            )
        assert result.returncode == 1
        (line,) = result.stderr.decode().splitlines()
        assert line.startswith("invdn: cannot write the results: no space left on device")


@pytest.mark.usefixtures("notes")
def test_what_was_done_already_is_only_counted(tmp_path: Path) -> None:
    inputs = [photo(tmp_path / "in" / f"{name}.png") for name in "ab"]
    photo(tmp_path / "out" / "b.png")
    invoke("denoise", tmp_path / "in", "-o", tmp_path / "out")
    result = invoke("denoise", tmp_path / "in", "-o", tmp_path / "out")
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"invdn: {inputs[1]}: skipped: the output exists already")
    assert result.stdout.endswith(", 2 skipped (1 done already)\n")
    result = invoke("denoise", tmp_path / "in", "-o", tmp_path / "out", "--json")
    reasons = [json.loads(line)["reason"] for line in result.stdout.splitlines()]
    assert reasons == [batch.DONE_ALREADY, images.EXISTS]


@pytest.mark.skipif(os.name == "nt", reason="a shell's way to close a stream")
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "2>&- >&-"])
def test_a_closed_stream_costs_only_what_is_said(tmp_path: Path, closed: str) -> None:
    photo(tmp_path / "a.png")
    script = f'exec "$@" {closed}'
    arguments = [tmp_path / "a.png", tmp_path / "none.png", "-o", tmp_path / "out"]
    result = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-c", COMMAND, "denoise", *arguments],
        env=environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, names_in(tmp_path / "out")) == (1, ["a.png"])
    assert (b"none.png" in result.stderr) == ("2>&-" not in closed)
    assert b"none.png" not in result.stdout
    assert (b"1 done" in result.stdout) == (closed == "2>&-")


@pytest.mark.usefixtures("notes")
def test_a_folder_that_cannot_be_looked_into_counts_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "locked").mkdir()
    scan = os.scandir

    def refuses(path: Any = ".") -> Any:  # tests may run as root, who can look everywhere
        if Path(os.fsdecode(path)).name == "locked":
            raise PermissionError(13, os.strerror(13), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuses)
    result = invoke("denoise", tmp_path / "in", "-r", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "locked: cannot be opened: permission denied" in result.stderr
    assert re.fullmatch(r"1 done \(.*\), 1 failed", result.stdout.splitlines()[-1])


@pytest.mark.usefixtures("notes")
def test_links_that_are_not_followed_are_said_in_one_line(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png")
    photo(tmp_path / "other" / "b.png")
    for name in "cdefg":
        (tmp_path / "in" / name).symlink_to(tmp_path / "other")
    result = invoke("denoise", tmp_path / "in", "-r", "-o", tmp_path / "out")
    links = ", ".join(str(tmp_path / "in" / name) for name in "cde")
    said = f"left out, because links to folders are not followed: {links} and 2 more"
    assert (result.exit_code, result.stderr) == (0, f"invdn: {said}\n")
    assert names_in(tmp_path / "out") == ["a.png"]
    result = invoke("denoise", tmp_path / "in", "-o", tmp_path / "out")
    assert result.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("signalled", [True, False])
def test_a_working_process_that_does_not_start_is_no_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signalled: bool
) -> None:
    how = "os.kill(os.getpid(), 9)" if signalled else "sys.exit(3)"
    monkeypatch.setattr(process, "PROGRAM", f"import os; {how}")
    result = invoke("denoise", photo(tmp_path / "a.png"), "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "the working process does not start (" in result.stderr
    assert ("want of memory" in result.stderr) == signalled


@pytest.mark.usefixtures("notes")
def test_a_name_with_a_slash_at_its_end_is_a_folder(tmp_path: Path) -> None:
    a = photo(tmp_path / "a.png")
    result = invoke("denoise", a, "-o", f"{tmp_path}/out.xyz/")
    assert (result.exit_code, names_in(tmp_path / "out.xyz")) == (0, ["a.png"])
    result = invoke("denoise", photo(tmp_path / "b.png"), "-o", f"{tmp_path}/out.xyz")
    assert (result.exit_code, names_in(tmp_path / "out.xyz")) == (0, ["a.png", "b.png"])
    result = invoke("denoise", a, "-o", f"{tmp_path}/b.png/", "--overwrite")
    assert (result.exit_code, result.stderr) == (
        2,
        f"invdn: {tmp_path}/b.png is a file: name a folder\n",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strength", "0,5"], "a number (such as 0.5) from 0 to 1.5"),
        (["--strength", "nan"], "a number (such as 0.5) from 0 to 1.5"),
        (["--strength", "2"], "a number (such as 0.5) from 0 to 1.5"),
        (["--quality", "101"], "a whole number from 1 to 100"),
        (["--quality", "90.5"], "a whole number from 1 to 100"),
        (["--jobs", "all"], "a whole number from 1"),
        (["--seed", "x"], "a whole number"),
    ],
)
def test_a_wrong_value_is_told_in_one_sentence(arguments: list[str], message: str) -> None:
    result = invoke("denoise", "a.png", "-o", "out", *arguments)
    expected = f"Error: Invalid value for '{arguments[0]}': it must be {message}"
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, expected)


def test_a_wrong_choice_is_told_in_one_sentence() -> None:
    result = invoke("denoise", "a.png", "-o", "out", "--turns", "3")
    assert result.stderr.endswith(
        "Invalid value for '--turns': '3' is not one of '1', '2', '4', '8'.\n"
    )


@pytest.mark.usefixtures("notes")
def test_json_lines_and_nothing_else(tmp_path: Path) -> None:
    a = photo(tmp_path / "a.png")
    result = invoke("denoise", a, tmp_path / "b.png", "-o", tmp_path / "out", "--json")
    first, second = map(json.loads, result.stdout.splitlines())
    assert first.pop("seconds") >= 0
    assert first == {
        "input": str(a),
        "output": str(tmp_path / "out" / "a.png"),
        "status": "done",
        "reason": None,
        "width": 8,
        "height": 6,
        "notices": [],
        "noise": None,
        "left_as_is": False,
    }
    assert (second["status"], second["reason"]) == ("failed", images.NO_SUCH_FILE)
    assert result.exit_code == 1


def test_options_arrive(tmp_path: Path, notes: Path) -> None:
    photo(tmp_path / "in" / "deep" / "a.png")
    options = ["--strength", 0.4, "--model", "other", "--threads", 3, "-r"]
    options += ["--format", "jpg", "--quality", 66]
    result = invoke("denoise", tmp_path / "in", "-o", tmp_path / "out", *options)
    assert result.exit_code == 0
    assert json.loads(notes.read_text()) == {"name": "other", "threads": 3, "strength": 0.4}
    facts = images.read(tmp_path / "out" / "deep" / "a.jpg").jpeg
    assert facts is not None
    assert facts.quality == 66


def test_the_device_arrives(tmp_path: Path, notes: Path) -> None:
    a = photo(tmp_path / "a.png")
    invoke("denoise", a, "-o", tmp_path / "1", "--device", "cpu")
    invoke("denoise", a, "-o", tmp_path / "2")
    calls = [json.loads(line) for line in notes.read_text().splitlines()]
    assert [call.get("device") for call in calls] == ["cpu", None]


def test_the_command_line_offers_all_devices() -> None:
    shown = " ".join(invoke("denoise", "--device", "none", "a", "-o", "b").stderr.split())
    assert all(f"'{name}'" in shown for name in DEVICES)


def test_ensemble_options_arrive(tmp_path: Path, notes: Path) -> None:
    a = photo(tmp_path / "a.png")
    invoke("denoise", a, "-o", tmp_path / "1", "--samples", 16, "--ensemble", "--seed", 3)
    invoke("denoise", a, "-o", tmp_path / "2", "--ensemble")
    invoke("denoise", a, "-o", tmp_path / "3")
    invoke("denoise", a, "-o", tmp_path / "4", "--turns", 2)
    calls = [json.loads(line) for line in notes.read_text().splitlines()]
    assert [call.get("ensemble") for call in calls] == [
        {"samples": 16, "turns": 8, "seed": 3},
        {"turns": 8},
        None,
        {"turns": 2},
    ]


@pytest.mark.usefixtures("notes")
def test_a_full_disk_ends_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [photo(tmp_path / f"{name}.png") for name in "abcd"]
    begun = []

    def run(jobs: Sequence[batch.Job], *_: object, **__: object) -> Iterator[batch.Result]:
        for job in jobs:
            begun.append(job.input.name)
            full = job.input.name == "b.png"
            status: Literal["failed", "done"] = "failed" if full else "done"
            yield batch.Result(job.input, job.output, status, "no space", no_room=full)

    monkeypatch.setattr(workers, "run", run)
    result = invoke("denoise", *photos, "-o", tmp_path / "out")
    assert (result.exit_code, begun) == (1, ["a.png", "b.png"])
    assert "2 of 4 photos are left: the same command again does them" in result.stderr


def test_the_ensemble_is_all_turns(tmp_path: Path, notes: Path) -> None:
    a = photo(tmp_path / "a.png")
    result = invoke("denoise", a, "-o", tmp_path / "out", "--ensemble", "--turns", 2)
    assert (result.exit_code, notes.exists()) == (2, False)
    assert result.stderr == "invdn: --ensemble is --turns 8: give one of them\n"


@pytest.mark.usefixtures("notes")
@pytest.mark.parametrize("options", [["--samples", 99], ["--strength", 1.25]])
def test_options_that_a_model_does_not_know_have_status_2(
    tmp_path: Path, options: list[object]
) -> None:
    photos = [photo(tmp_path / "a.png"), photo(tmp_path / "b.png")]
    result = invoke("denoise", *photos, "-o", tmp_path / "out", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "invdn: it has no such thing\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["denoise"], "Missing"),
        (["denoise", "a.png"], "-o"),
        (["denoise", "a.png", "-o", "out", "--strength", "1.6"], "strength"),
        (["denoise", "a.png", "-o", "out", "--strength", "-0.1"], "strength"),
        (["denoise", "a.png", "-o", "out", "--strength", "nan"], "strength"),
        (["denoise", "a.png", "-o", "out", "--strength", "strong"], "strength"),
        (["denoise", "a.png", "-o", "out", "--quality", "0"], "quality"),
        (["denoise", "a.png", "-o", "out", "--quality", "101"], "quality"),
        (["denoise", "a.png", "-o", "out", "--threads", "0"], "threads"),
        (["denoise", "a.png", "-o", "out", "--threads", "100000"], "threads"),
        (["denoise", "a.png", "-o", "out", "--device", "tpu"], "device"),
        (["denoise", "a.png", "-o", "out", "--samples", "0"], "samples"),
        (["denoise", "a.png", "-o", "out", "--format", "gif"], "invdn: unknown format 'gif'"),
        (["denoise", "a.png", "-o", "a.png"], "invdn: a.png: the output a.png is an input"),
        (["denoise", "a.png", "-o", "b.jxl"], "invdn: cannot write .jxl files"),
        (["denoise", "a.png", "-o", "-"], "invdn: results cannot go to the standard output"),
        (["denoise", "a.png", "-o", "b.jgp"], "invdn: .jgp is no suffix of pictures: choose jpg"),
        (["denoise", "a.png", "-o", "b.xyz"], f"for a folder of that name, b.xyz{os.sep}"),
        (["noise", "a.png", "-o", "b"], "invdn: say how much with one of"),
        (["noise", "a.png", "--camera"], "invdn: name either -o OUT or --pairs OUT"),
        (["evaluate", "--data", "nope"], "invdn: there is no folder nope"),
        (["denoise", "a.png", "-o", "out", "--model", "none.onnx"], "invdn: "),
        (["info", "nobody"], "invdn: "),
        (["sharpen"], "sharpen"),
    ],
)
def test_wrong_usage_has_status_2_and_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    photo(Path("a.png"))
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert names_in(tmp_path) == ["a.png"]


@pytest.mark.usefixtures("notes")
def test_a_folder_without_photos_says_so(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "deep" / "a.png")
    (tmp_path / "in" / "b.jxl").write_bytes(b"?")
    result = invoke("denoise", tmp_path / "in", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert "not supported: 1 .jxl" in result.stderr
    assert "no photos found; --recursive looks into subfolders too" in result.stderr


@pytest.mark.parametrize("verb", ["train", "export"])
def test_verbs_that_need_pytorch_say_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str
) -> None:
    for module in ("torch", "onnx", "safetensors"):
        monkeypatch.setitem(sys.modules, module, None)
    for module in [
        name for name in sys.modules if re.match(r"invdn\.(net|data|train|export)", name)
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "invdn.config", raising=False)
    result = invoke(verb, tmp_path / "x", *(["-o", "y.onnx"] if verb == "export" else []))
    assert result.exit_code == 2
    assert result.stderr == f"invdn: {verb} needs PyTorch: pip install 'invdn[train]'\n"


@pytest.mark.usefixtures("notes")
def test_a_model_that_fails_to_load_is_one_line(tmp_path: Path) -> None:
    result = invoke(
        "denoise", photo(tmp_path / "a.png"), "-o", tmp_path / "out", "--model", "none.onnx"
    )
    assert (result.exit_code, result.stderr) == (2, "invdn: there is no model file none.onnx\n")


def test_help_lists_the_verbs() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    for verb in ("denoise", "info", "train", "export"):
        assert f"  {verb} " in result.stdout


# --- as a process --------------------------------------------------------------------------------


def test_version_is_quick_and_loads_nothing_heavy() -> None:
    result = command("--version", PYTHONPROFILEIMPORTTIME="1")
    assert result.stdout.decode().strip() == f"invdn {invdn.__version__}"
    loaded = set(re.findall(r"\| +([\w.]+)\n", result.stderr.decode()))
    assert "typer" in loaded
    assert not loaded & {"numpy", "pyvips", "onnxruntime", "torch", "rich"}


def test_the_working_process_starts_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    """So that both start up at the same time."""
    program = """
import sys, invdn.process

def note(*_):
    print(*{"numpy", "pyvips", "onnxruntime", "torch"} & set(sys.modules), "none else")
    raise SystemExit

invdn.process.Process = note
from invdn.cli import main
main()
"""
    result = subprocess.run(
        [sys.executable, "-c", program, "denoise", str(photo(tmp_path / "a.png")), "-o", "b.png"],
        env=environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert result.stdout.decode().strip() == "none else"


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8 are a Linux matter")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_any_name_on_any_terminal(tmp_path: Path, encoding: str) -> None:
    names = ["照片.png", os.fsdecode(b"caf\xe9.png"), "[red]a.png", "-x.png"]
    for name in names:
        photo(tmp_path / name)
    arguments = ["denoise", "-o", "out", "--", *names, "没有.png"]
    result = subprocess.run(
        [sys.executable, "-c", COMMAND, *map(os.fsencode, arguments)],
        env=environment(PYTHONIOENCODING=encoding, LANG="C"),
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert b"Traceback" not in result.stderr
    assert result.stderr.count(b"\n") == 1
    assert len(result.stdout.splitlines()) == 5
    assert names_in(tmp_path / "out") == sorted(names)


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_whole_photos_and_says_what_is_left(
    tmp_path: Path, number: signal.Signals
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        photo(tmp_path / "in" / name)
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "denoise", tmp_path / "in", "-o", tmp_path / "out"],
        env=environment(INVDN_TEST_SECONDS="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Where the tests run in the background, interrupts are ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert b"a.png" in process.stdout.readline()
    time.sleep(0.2)  # into the second photo
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.decode().splitlines() == [
        "invdn: 2 of 3 photos are left: the same command again does them",
        "invdn: interrupted",
    ]
    assert names_in(tmp_path / "out") == ["a.png"]


@pytest.mark.parametrize("more", [["--format", "jpg"], ["--quality", 90], ["--auto"]])
def test_a_preview_takes_nothing_that_it_would_not_heed(
    tmp_path: Path, notes: Path, more: list[str]
) -> None:
    result = invoke("denoise", photo(tmp_path / "a.png"), "-o", tmp_path, "--preview", *more)
    assert (result.exit_code, notes.exists()) == (2, False)
    assert "leave --format, --quality and --auto out" in result.stderr
