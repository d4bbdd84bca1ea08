"""Photos in processes of their own: crashes, hangs, kills, the manifest, going on."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import invdn
from fake_worker import CRASHES, FULL, HANGS, KILLED
from fake_worker import PROGRAM as FAKE
from invdn import images, manifest, process, workers
from invdn.batch import Job, Result, plan
from invdn.control import Control
from invdn.images import atomic
from invdn.restore import Settings
from invdn.runtime import ModelError

SILENT = (
    "import os, sys, time; sys.stdin.readline(); print('{\"ready\": {}}', flush=True);"
    "sys.stdin.readline(); os.close(1); time.sleep(60)"
)
"""A process that closes its pipe and does not end."""


@pytest.fixture(autouse=True)
def notes(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fake denoiser, and where it writes how it was called."""
    monkeypatch.setattr(process, "PROGRAM", FAKE)
    path = tmp_path_factory.mktemp("notes") / "notes.jsonl"
    monkeypatch.setenv("INVDN_TEST_NOTES", str(path))
    return path


def test_a_process_that_closes_its_pipe_and_does_not_end_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "PROGRAM", SILENT)
    monkeypatch.setattr(process, "_SECONDS_TO_STOP", 0.2)
    one = process.Process("photo")
    one.model()
    with pytest.raises(process.ProcessError, match="went silent"):
        one.do({}, lambda fraction: None)
    assert one._process.poll() is not None


def test_a_process_that_cannot_be_killed_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one that waits for a network drive that is gone."""
    monkeypatch.setattr(process, "PROGRAM", SILENT)
    monkeypatch.setattr(process, "_SECONDS_TO_STOP", 0.2)
    monkeypatch.setattr(process, "_SECONDS_TO_BE_KILLED", 0.2, raising=False)
    one = process.Process("photo")
    one.model()
    with monkeypatch.context() as unkillable:
        unkillable.setattr(one._process, "kill", lambda: None)
        start = time.monotonic()
        with pytest.raises(process.ProcessError, match="went silent"):
            one.do({}, lambda fraction: None)
        assert time.monotonic() - start < 10
    one._process.kill()
    one._process.wait()


def photo(path: Path, value: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((6, 8, 3), value, np.uint8)
    images.write(images.Photo(pixels, images.format_of(path)), path, overwrite=True)
    return path


def do(
    folder: Path,
    output: Path,
    jobs: int = 1,
    ensemble: Mapping[str, int] | None = None,
    **settings: Any,
) -> dict[str, Result]:
    found = plan([folder], output, recursive=True)
    setup = workers.Setup(
        "photo", jobs=jobs, settings=Settings(**settings), ensemble=ensemble or {}
    )
    return {r.input.name: r for r in workers.run(found.jobs, setup, folder=found.folder)}


def statuses(results: dict[str, Result]) -> dict[str, str]:
    return {name: result.status for name, result in sorted(results.items())}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != manifest.NAME)


def calls(notes: Path) -> int:
    return len(notes.read_text().splitlines()) if notes.exists() else 0


# --- what native code may do ---------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("jobs", [1, 3])
def test_what_ends_a_process_costs_only_its_photo(tmp_path: Path, jobs: int) -> None:
    for name, value in {"a": 1, "b": CRASHES, "c": 2, "d": HANGS, "e": KILLED, "f": 3}.items():
        photo(tmp_path / "in" / f"{name}.png", value)
    results = do(tmp_path / "in", tmp_path / "out", jobs)
    failed = {r.input.stem: str(r.reason) for r in results.values() if r.status == "failed"}
    assert failed == {
        "b": "it crashed its decoder (SIGSEGV)",
        "d": "reading or writing it did not end within 2 s",
        "e": "the system ended the work on it, probably for want of memory",
    }
    assert names_in(tmp_path / "out") == ["a.png", "c.png", "f.png"]


def test_a_model_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    jobs = [Job(photo(tmp_path / "a.png"), tmp_path / "b.png")]
    with pytest.raises(ModelError, match="there is no model file"):
        list(workers.run(jobs, workers.Setup("none.onnx")))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [({"model": "none.onnx"}, "fatal"), ({"ensemble": {"samples": 99}}, "options")],
)
def test_a_worker_that_cannot_work_ends_by_itself(wanted: dict[str, Any], said: str) -> None:
    """Without a crash, though its input goes on."""
    usual = {"model": "photo", "device": "auto", "threads": 1, "jobs": 1, "ensemble": {}}
    pipe = subprocess.PIPE
    with subprocess.Popen(process.python(FAKE), stdin=pipe, stdout=pipe, stderr=pipe) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        assert worker.stderr is not None
        worker.stdin.write(json.dumps(usual | wanted).encode() + b"\n")
        worker.stdin.flush()
        assert said in json.loads(worker.stdout.readline())
        assert worker.wait(30) == 0
        assert worker.stderr.read() == b""


def test_a_worker_that_never_comes_back_does_not_outlive_its_leader(tmp_path: Path) -> None:
    jobs = Job(photo(tmp_path / "a.png", HANGS), tmp_path / "b.png")
    usual = {"model": "photo", "device": "auto", "threads": 1, "jobs": 1, "ensemble": {}}
    job = {"input": str(jobs.input), "output": str(jobs.output), "folder": None, "settings": {}}
    program = f"import invdn.worker; invdn.worker._SECONDS_TO_GIVE_UP = 0.3; {FAKE}"
    pipe = subprocess.PIPE
    with subprocess.Popen(process.python(program), stdin=pipe, stdout=pipe) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        for request in (usual, job):
            worker.stdin.write(json.dumps(request).encode() + b"\n")
        worker.stdin.flush()
        while json.loads(worker.stdout.readline()).get("step") != 2.0:
            pass
        worker.stdin.close()
        try:
            assert worker.wait(20) == 1
        finally:
            worker.kill()


def test_a_list_that_cannot_be_added_to_does_not_hide_why_a_photo_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(manifest.Manifest, "append", fails)
    photo(tmp_path / "in" / "a.png", CRASHES)
    (result,) = do(tmp_path / "in", tmp_path / "out").values()
    assert "crashed" in str(result.reason)
    assert result.seconds > 0


def test_a_process_that_does_not_start_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PROGRAM", "raise SystemExit(3)")
    jobs = [Job(photo(tmp_path / "a.png"), tmp_path / "b.png")]
    with pytest.raises(workers.NotStartedError, match=r"does not start \(exit status 3\)"):
        list(workers.run(jobs, workers.Setup("photo")))


def test_nothing_in_the_current_folder_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "in" / "a.png")
    assert statuses(do(tmp_path / "in", tmp_path / "out")) == {"a.png": "done"}


def test_many_at_once_share_the_cores(tmp_path: Path, notes: Path) -> None:
    for number in range(6):
        photo(tmp_path / "in" / f"{number}.png")
    results = do(tmp_path / "in", tmp_path / "out", jobs=3)
    assert len(results) == 6
    threads = {json.loads(line)["threads"] for line in notes.read_text().splitlines()}
    assert threads == {max(1, invdn.runtime.default_threads() // 3)}


@pytest.mark.parametrize(("count", "jobs", "share"), [(6, 3, 4), (1, 3, 12), (2, 4, 6)])
def test_threads_are_shared_by_as_many_as_there_are(
    tmp_path: Path, notes: Path, count: int, jobs: int, share: int
) -> None:
    for number in range(count):
        photo(tmp_path / "in" / f"{number}.png")
    found = plan([tmp_path / "in"], tmp_path / "out")
    setup = workers.Setup("photo", threads=12, jobs=jobs)
    with process.Process("photo", 12, jobs) as first:
        results = list(workers.run(found.jobs, setup, first=first))
    assert {result.status for result in results} == {"done"}
    assert {json.loads(line)["threads"] for line in notes.read_text().splitlines()} == {share}


def test_closing_gives_up_the_photo_in_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVDN_TEST_SECONDS", "2")
    for name in ("a", "b"):
        photo(tmp_path / "in" / f"{name}.png")
    found = plan([tmp_path / "in"], tmp_path / "out")
    running = workers.run(found.jobs, workers.Setup("photo"), folder=found.folder)
    assert next(running).status == "done"
    start = time.monotonic()
    running.close()
    assert time.monotonic() - start < 5
    assert names_in(tmp_path / "out") == ["a.png"]


# --- pauses --------------------------------------------------------------------------------------


def controlled(
    tmp_path: Path, control: Control, at: dict[tuple[str, float], Callable[[], object]]
) -> tuple[list[Result], list[tuple[str, float, float]]]:
    """Do the photos in "in", calling what `at` has for a photo and how much of it is done.

    Returns the results; and name, fraction and time of all progress.
    """
    seen: list[tuple[str, float, float]] = []

    def progress(job: Job, fraction: float) -> None:
        seen.append((job.input.stem, fraction, time.monotonic()))
        at.get((job.input.stem, fraction), str)()

    jobs = plan([tmp_path / "in"], tmp_path / "out").jobs
    setup = workers.Setup("photo")
    return list(workers.run(jobs, setup, progress=progress, control=control)), seen


def later(seconds: float, *calls: Callable[[], object]) -> None:
    """Call something in another thread after a while, one after the other."""
    threading.Timer(seconds, lambda: [call() for call in calls]).start()


def test_a_pause_in_a_photo_may_be_longer_than_a_step_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVDN_TEST_SECONDS", "2")
    photo(tmp_path / "in" / "a.png")
    control = Control()

    def pause() -> None:
        control.pause()
        later(3, control.resume)

    (result,), seen = controlled(tmp_path, control, {("a", 0.2): pause})
    assert result.status == "done"
    assert result.seconds < 5  # of which the pause, of three, is no part
    assert names_in(tmp_path / "out") == ["a.png"]
    gaps = [(after[2] - before[2], before[1]) for before, after in pairwise(seen)]
    seconds, fraction = max(gaps)
    assert seconds > 2  # as long as a step may take in a worker of these tests
    assert fraction <= 0.5  # it stopped soon


def test_after_a_pause_a_process_that_hangs_is_ended_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hanging = (
        "import sys, time; sys.stdin.readline(); print('{\"ready\": {}}', flush=True);"
        "sys.stdin.readline(); print('{\"step\": 0.5}', flush=True); time.sleep(60)"
    )
    monkeypatch.setattr(process, "PROGRAM", hanging)
    monkeypatch.setattr(process, "_SECONDS_TO_STOP", 0.2)
    one = process.Process("photo")
    one.model()
    one.set_paused(True)
    later(1.5, lambda: one.set_paused(False))
    start = time.monotonic()
    with pytest.raises(process.ProcessError, match="did not end within"):
        one.do({}, lambda fraction: None)
    assert 1.9 < time.monotonic() - start < 20


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_the_time_in_which_all_stands_still_is_not_a_worker_s() -> None:
    """Ctrl-Z in the terminal, or a computer that is suspended."""
    worker = (
        "import sys, time; sys.stdin.readline(); print('{\"ready\": {}}', flush=True);"
        "sys.stdin.readline(); print('{\"step\": 4}', flush=True);"
        '[time.sleep(0.1) for _ in range(20)]; print(\'{"result": {"status": "done"}}\')'
    )
    leader = process.python(
        "from invdn import process; process.PROGRAM = sys.argv[1]; one = process.Process('photo');"
        "one.model(); print('ready', flush=True); print(one.do({}, lambda _: None)['status'])"
    )
    with subprocess.Popen(
        [*leader, worker], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as group:
        assert group.stdout is not None
        assert group.stdout.readline() == "ready\n"
        time.sleep(0.5)
        os.killpg(group.pid, signal.SIGSTOP)
        time.sleep(5)
        os.killpg(group.pid, signal.SIGCONT)
        assert group.stdout.read() == "done\n"


def test_a_pause_that_begins_just_before_a_process_does_reaches_it(
    tmp_path: Path, notes: Path
) -> None:
    class JustThen(Control):
        def begin(self, photo: Path) -> bool:
            begun = super().begin(photo)
            self.pause()
            return begun

    photo(tmp_path / "in" / "a.png")
    control, called = JustThen(), []
    later(2, lambda: called.append(calls(notes)), control.resume)
    (result,), _ = controlled(tmp_path, control, {})
    assert called == [0]
    assert result.status == "done"


def test_cancelling_in_a_pause_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVDN_TEST_SECONDS", "1")
    for name in ("a", "b", "c"):
        photo(tmp_path / "in" / f"{name}.png")
    control = Control()

    def pause() -> None:
        control.pause()
        later(1, control.cancel)

    results, seen = controlled(tmp_path, control, {("b", 0.2): pause})
    assert time.monotonic() - seen[-1][2] < 8  # a process that must be forced to takes 10
    assert [result.input.stem for result in results] == ["a"]
    assert seen[-1][0] == "b"
    assert names_in(tmp_path / "out") == ["a.png"]
    control.pause()
    assert not control.paused  # nobody would end it


def test_nothing_waits_any_more_once_it_is_cancelled() -> None:
    """Neither a photo that is next, nor one in the middle."""
    control, answers = Control(), []
    control.pause()
    waits: list[Callable[[], bool]] = [lambda: control.begin(Path("a.png")), control.stopped]
    threads = [threading.Thread(target=lambda w=w: answers.append(w()), daemon=True) for w in waits]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    assert not answers
    control.cancel()
    for thread in threads:
        thread.join(10)
    assert sorted(answers) == [False, True]


def test_a_photo_that_waits_can_be_left_out(tmp_path: Path) -> None:
    paths = {name: photo(tmp_path / "in" / f"{name}.png") for name in ("a", "b", "c")}
    control, answers = Control(), []

    def leave_out() -> None:
        answers.extend(control.leave_out(paths[name]) for name in ("a", "b"))

    results, _ = controlled(tmp_path, control, {("a", 0.0): leave_out})
    assert answers == [False, True]
    assert [result.input.stem for result in results] == ["a", "c"]
    assert not control._at_work


def test_a_full_disk_pauses_before_the_next_photo_is_begun(tmp_path: Path, notes: Path) -> None:
    photo(tmp_path / "in" / "a.png", FULL)
    photo(tmp_path / "in" / "b.png")
    control = Control()
    jobs = plan([tmp_path / "in"], tmp_path / "out").jobs
    running = workers.run(jobs, workers.Setup("photo"), control=control)
    assert next(running).no_room
    assert control.paused
    time.sleep(0.5)
    assert not control._at_work
    assert calls(notes) == 1
    control.resume()
    assert [result.status for result in running] == ["done"]


def test_closing_in_a_pause_does_not_wait_for_its_end(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png", FULL)
    photo(tmp_path / "in" / "b.png")
    control = Control()
    jobs = plan([tmp_path / "in"], tmp_path / "out").jobs
    running = workers.run(jobs, workers.Setup("photo"), control=control)
    assert next(running).no_room
    assert control.paused
    closing = threading.Thread(target=running.close, daemon=True)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()
    assert not control.cancelled  # by nobody
    assert not (tmp_path / "out" / "b.png").exists()


# --- what was done already -----------------------------------------------------------------------


def test_a_second_run_does_what_is_missing(tmp_path: Path, notes: Path) -> None:
    for name in ("a", "b", "sub/c"):
        photo(tmp_path / "in" / f"{name}.png")
    do(tmp_path / "in", tmp_path / "out")
    (tmp_path / "out" / "sub" / "c.png").unlink()
    photo(tmp_path / "in" / "d.png")
    before = calls(notes)
    results = do(tmp_path / "in", tmp_path / "out")
    assert statuses(results) == {
        "a.png": "skipped", "b.png": "skipped", "c.png": "done", "d.png": "done",
    }  # fmt: skip
    assert results["a.png"].reason == "done already, and nothing has changed"
    assert calls(notes) - before == 2


def test_what_has_changed_is_done_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        photo(tmp_path / "in" / f"{name}.png")
    do(tmp_path / "in", tmp_path / "out")
    photo(tmp_path / "in" / "a.png", 55)
    os.utime(tmp_path / "in" / "b.png", ns=(1, 1))  # touched only
    assert statuses(do(tmp_path / "in", tmp_path / "out")) == {"a.png": "done", "b.png": "skipped"}
    assert images.read(tmp_path / "out" / "a.png").pixels.max() == 55
    # Other settings: all of it. The same again, even with overwrite: nothing.
    assert set(statuses(do(tmp_path / "in", tmp_path / "out", strength=0.5)).values()) == {"done"}
    for without_effect in ("overwrite", "keep_time"):
        again = do(tmp_path / "in", tmp_path / "out", strength=0.5, **{without_effect: True})
        assert set(statuses(again).values()) == {"skipped"}
    for other in ({"quality": 70}, {"quality": 70, "metadata": False}):
        again = do(tmp_path / "in", tmp_path / "out", strength=0.5, **other)
        assert set(statuses(again).values()) == {"done"}


def test_turns_do_all_again_and_a_seed_without_random_latents_nothing(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png")
    outcomes = [
        do(tmp_path / "in", tmp_path / "out", ensemble=ensemble)["a.png"].status
        for ensemble in ({}, {"seed": 3}, {"turns": 2}, {"turns": 2, "seed": 4})
    ]
    assert outcomes == ["done", "skipped", "done", "skipped"]


def test_results_among_the_photos_are_no_photos(tmp_path: Path) -> None:
    """Photos and results in one folder, told apart by the manifest when it is run again."""
    folder = tmp_path / "in"
    for name in ("a", "b"):
        photo(folder / f"{name}.png")

    def names() -> list[str]:
        return [job.input.name for job in plan([folder], folder, format="jpg").jobs]

    found = plan([folder], folder, format="jpg")
    list(workers.run(found.jobs, workers.Setup("photo"), folder=found.folder))
    assert names_in(folder) == ["a.jpg", "a.png", "b.jpg", "b.png"]
    assert names() == ["a.png", "b.png"]
    photo(folder / "c.jpg")  # nobody's result, but a photo that would become itself
    found = plan([folder], folder, format="jpg")
    assert [job.input.name for job in found.jobs] == ["a.png", "b.png"]
    assert [result.input.name for result in found.refused] == ["c.jpg"]


def test_what_others_made_is_never_replaced(tmp_path: Path) -> None:
    """Neither a file of unknown origin, nor a result that somebody worked on since."""
    for name in ("a", "b"):
        photo(tmp_path / "in" / f"{name}.png")
    photo(tmp_path / "out" / "b.png", 7)
    do(tmp_path / "in", tmp_path / "out")
    photo(tmp_path / "out" / "a.png", 9)
    photo(tmp_path / "in" / "a.png", 55)
    results = do(tmp_path / "in", tmp_path / "out", strength=0.5)
    assert statuses(results) == {"a.png": "skipped", "b.png": "skipped"}
    assert "--overwrite" in str(results["a.png"].reason)
    assert [images.read(tmp_path / "out" / n).pixels.max() for n in ("a.png", "b.png")] == [9, 7]
    assert set(statuses(do(tmp_path / "in", tmp_path / "out", overwrite=True)).values()) == {"done"}


def test_another_photo_of_the_same_name_does_not_replace_the_first(tmp_path: Path) -> None:
    for number, folder in enumerate(("january", "february"), start=1):
        path = photo(tmp_path / folder / "1.bmp", number)
        os.utime(path, ns=(10**18, 10**18))  # of one size and, as from a FAT card, of one time
    do(tmp_path / "january", tmp_path / "out")
    results = do(tmp_path / "february", tmp_path / "out")
    assert statuses(results) == {"1.bmp": "skipped"}
    assert "--overwrite" in str(results["1.bmp"].reason)
    assert images.read(tmp_path / "out" / "1.bmp").pixels.max() == 1


def test_moved_folders_are_recognised(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "sub" / "a.png")
    do(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in").rename(tmp_path / "in2")
    (tmp_path / "out").rename(tmp_path / "out2")
    assert statuses(do(tmp_path / "in2", tmp_path / "out2")) == {"a.png": "skipped"}
    assert statuses(do(tmp_path / "in2", tmp_path / "out2", strength=0.5)) == {"a.png": "done"}


def test_a_link_in_place_of_a_result_is_left_alone(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png")
    do(tmp_path / "in", tmp_path / "out")
    output = tmp_path / "out" / "a.png"
    output.rename(tmp_path / "kept.png")
    output.symlink_to(tmp_path / "kept.png")
    results = do(tmp_path / "in", tmp_path / "out", strength=0.5)
    assert statuses(results) == {"a.png": "skipped"}
    assert output.is_symlink()


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png", 5)
    photo(tmp_path / "in" / "b.png", CRASHES)
    results = do(tmp_path / "in", tmp_path / "out")
    assert statuses(results) == {"a.png": "done", "b.png": "failed"}
    last = json.loads((tmp_path / "out" / manifest.NAME).read_text().splitlines()[-1])
    assert (last["output"], last["status"]) == ("b.png", "failed")
    photo(tmp_path / "in" / "b.png", 5)
    results = do(tmp_path / "in", tmp_path / "out")
    assert statuses(results) == {"a.png": "skipped", "b.png": "done"}


@pytest.mark.parametrize(
    "damage",
    [
        *(b"", b"\xff\xfe", b"{", b'{"status": "done"}', b"[1]\nnull\n", b'{"output": "b.pn'),
        pytest.param(b"[" * 200_000, id="deep"),
    ],
)
def test_a_damaged_manifest_costs_nothing(tmp_path: Path, damage: bytes) -> None:
    photo(tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / manifest.NAME).write_bytes(damage)
    assert statuses(do(tmp_path / "in", tmp_path / "out")) == {"a.png": "done"}
    assert statuses(do(tmp_path / "in", tmp_path / "out")) == {"a.png": "skipped"}


def test_a_line_without_its_output_is_no_obstacle(tmp_path: Path) -> None:
    """As a kill between the two leaves it, also where an older output was to be replaced."""
    photo(tmp_path / "in" / "a.png")
    do(tmp_path / "in", tmp_path / "out")
    old = (tmp_path / "out" / "a.png").read_bytes()
    before = (tmp_path / "out" / "a.png").stat()
    do(tmp_path / "in", tmp_path / "out", strength=0.5)
    (tmp_path / "out" / "a.png").write_bytes(old)
    os.utime(tmp_path / "out" / "a.png", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert statuses(do(tmp_path / "in", tmp_path / "out", strength=0.5)) == {"a.png": "done"}
    (tmp_path / "out" / "a.png").unlink()
    assert statuses(do(tmp_path / "in", tmp_path / "out", strength=0.5)) == {"a.png": "done"}


# --- memory --------------------------------------------------------------------------------------

ECHO = "import json, os; print(json.dumps({'ready': dict(os.environ)}), flush=True); input()"


@pytest.mark.parametrize("own", [None, "65536"])
def test_glibc_is_told_to_give_memory_back_unless_it_is_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    monkeypatch.setattr(process, "PROGRAM", ECHO)
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    if own is not None:
        monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", own)
    with process.Process("photo") as started:
        seen = started.model()
    assert seen["MALLOC_MMAP_THRESHOLD_"] == (own or "1048576")
    assert seen["PATH"] == os.environ["PATH"]


def test_a_line_of_the_manifest_is_whole_or_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is nearly full takes the beginning of what is written."""
    room, write = [10, 0], os.write

    def nearly_full(handle: int, data: bytes) -> int:
        size = room.pop(0)
        if not size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data[:size])

    monkeypatch.setattr(manifest.os, "write", nearly_full)
    with pytest.raises(OSError, match="No space"):
        manifest.Manifest(tmp_path, {}).append(tmp_path / "a.png", {"status": "done"})
    room[:] = [10, 1000, 1000]
    manifest.Manifest(tmp_path, {}).append(tmp_path / "b.png", {"status": "done"})
    assert json.loads((tmp_path / manifest.NAME).read_text().splitlines()[-1])["output"] == "b.png"


def test_the_manifest_is_not_left_open(tmp_path: Path) -> None:
    """Or a batch of thousands would run out of files."""

    def next_free() -> int:
        handle = os.dup(0)
        os.close(handle)
        return handle

    before = next_free()
    for _ in range(3):
        manifest.Manifest(tmp_path, {}).append(tmp_path / "a.png", {"status": "done"})
        manifest.Manifest(tmp_path, {}).check()
    assert next_free() == before


# --- kill -9 -------------------------------------------------------------------------------------

THOROUGH = bool(os.environ.get("INVDN_THOROUGH"))
"""Whether to take more photos and kills, and the real network instead of none."""
PHOTOS, KILLS = (50, 100) if THOROUGH else (12, 5)
BATCH = f"""
import invdn.process
if not {THOROUGH}:
    invdn.process.PROGRAM = {FAKE!r}
from invdn.cli import main
main()
"""


def start(folder: Path, output: Path) -> subprocess.Popen[bytes]:
    source = str(Path(invdn.__file__).parents[1])
    arguments = ["denoise", folder, "-r", "-o", output, "--jobs", "2"]
    return subprocess.Popen(
        [sys.executable, "-c", BATCH, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": source, "INVDN_TEST_SECONDS": "0.02"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != manifest.NAME)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Path]:
    rng = np.random.default_rng(0)
    for number in range(PHOTOS):
        path = tmp_path / "in" / str(number % 3) / f"{number}.{('jpg', 'png', 'tif')[number % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(90, 255, (200, 300, 3), np.uint8)
        images.write(images.Photo(pixels, images.format_of(path)), path)
    return tmp_path / "in"


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_kills_at_any_moment_and_one_more_run(tmp_path: Path, library: Path) -> None:
    """The whole group, or the leader alone: every output is whole, and all is as undisturbed."""
    begun = time.monotonic()
    assert start(library, tmp_path / "undisturbed").wait(600) == 0
    seconds = time.monotonic() - begun
    expected = contents(tmp_path / "undisturbed")
    assert len(expected) == PHOTOS
    chance, caught = random.Random(0), []
    for attempt in range(KILLS):
        running = start(library, tmp_path / "out")
        time.sleep(chance.uniform(0.1, seconds))
        (os.killpg if attempt % 2 else os.kill)(running.pid, signal.SIGKILL)
        running.wait(10)
        whole = {n: c for n, c in contents(tmp_path / "out").items() if ".tmp" not in n}
        assert whole.items() <= expected.items()
        caught.append(len(whole))
        if len(whole) == PHOTOS:  # there is nothing left to disturb: start over
            shutil.rmtree(tmp_path / "out")
    assert start(library, tmp_path / "out").wait(600) == 0
    assert contents(tmp_path / "out") == expected
    print(f"{KILLS} kills of {PHOTOS} photos in {seconds:.0f} s; done when killed:", *caught)


def test_temporary_files_of_living_runs_are_left_alone(tmp_path: Path) -> None:
    stray = tmp_path / ".invdn-0123456789ab.tmp"
    other = tmp_path / ".invdn-notes.tmp"
    stray.write_bytes(b"left by a killed run")
    other.write_bytes(b"somebody's")
    with images.atomically(tmp_path / "a.png") as file:
        file.write(b"in work")
        images.remove_strays([tmp_path, tmp_path / "none"])
        assert not stray.exists()
        assert other.exists()
    assert (tmp_path / "a.png").read_bytes() == b"in work"


@pytest.mark.parametrize("locks", [True, False])
def test_what_a_killed_run_had_in_work_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    """Nor is what a living one has in work, where no lock tells one from the other."""
    with images.atomically(tmp_path / "a.png") as file:
        name = Path(file.name)
    name.write_bytes(b"left by a killed run")
    if not locks:
        monkeypatch.setattr(atomic, "_lock", lambda file: None)
    with images.atomically(tmp_path / "a.png", overwrite=True) as file:
        assert (Path(file.name) == name) == locks
        file.write(b"whole")
    assert (tmp_path / "a.png").read_bytes() == b"whole"
    assert name.exists() != locks


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed there")
def test_a_file_that_was_taken_for_a_stray_before_it_was_locked_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between creating and locking, another run may remove it and create its own of that name."""
    lock = atomic._lock
    with ExitStack() as other:
        theirs: list[Any] = []

        def interrupted(file: Any) -> Any:
            if not theirs:
                theirs.append(None)
                theirs[0] = other.enter_context(images.atomically(tmp_path / "a.png"))
                theirs[0].write(b"half")
                theirs[0].flush()
            return lock(file)

        monkeypatch.setattr(atomic, "_lock", interrupted)
        with pytest.raises(atomic.InWorkError), images.atomically(tmp_path / "a.png") as file:
            file.write(b"whole")
        assert not (tmp_path / "a.png").exists()
        theirs[0].write(b" and half")
    assert (tmp_path / "a.png").read_bytes() == b"half and half"


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be renamed there")
def test_a_name_that_is_free_again_is_not_taken_from_another_run(tmp_path: Path) -> None:
    """Once an output has its name, its temporary one may be another run's already."""
    with ExitStack() as other:
        with images.scratch(tmp_path, "a.png") as (first, _):
            first.replace(tmp_path / "a.png")
            second, _ = other.enter_context(images.scratch(tmp_path, "a.png"))
            assert second == first
        assert second.exists()
    assert not second.exists()


def test_an_interrupt_before_the_lock_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(file: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic, "_lock", interrupted)
    with pytest.raises(KeyboardInterrupt), images.atomically(tmp_path / "a.png"):
        pass
    assert names_in(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed there")
def test_a_stray_that_somebody_else_removes_first_is_not_removed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name may be another run's by then."""
    stray = tmp_path / ".invdn-0123456789ab.tmp"
    stray.write_bytes(b"left by a killed run")

    def late(file: Any) -> bool:
        stray.unlink()
        stray.write_bytes(b"in work")
        return True

    monkeypatch.setattr(atomic, "_lock", late)
    images.remove_strays([tmp_path])
    assert stray.read_bytes() == b"in work"


def test_a_name_that_cannot_be_is_known_before_the_work(tmp_path: Path) -> None:
    worked: list[bool] = []
    with pytest.raises(OSError, match="too long"), images.atomically(tmp_path / ("x" * 300)):
        worked.append(True)
    assert not worked
    assert names_in(tmp_path) == []


def test_an_empty_output_is_a_claimed_name_of_a_killed_run(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").touch()
    assert statuses(do(tmp_path / "in", tmp_path / "out")) == {"a.png": "done"}
