"""Many photos: which are done and where they go, and that one bad photo costs that one only."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invdn import batch, images, manifest
from invdn.batch import (
    Cancelled,
    Job,
    Result,
    UsageError,
    find,
    place,
    plan,
    reason_of,
    run,
    run_one,
)
from invdn.images import atomic, writing
from invdn.restore import Settings
from invdn.runtime import ModelError
from one_region import InOneRegion

Progress = Callable[[float], None] | None


@InOneRegion
def identity(
    image: images.Pixels, *, strength: float = 1.0, progress: Progress = None
) -> images.Pixels:
    """A denoiser that removes nothing, in two tiles."""
    if progress is not None:
        progress(0.5)
        progress(1.0)
    return image.copy()


@InOneRegion
def never(image: images.Pixels, **_: object) -> images.Pixels:
    raise AssertionError


def photo(path: Path, value: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((6, 8, 3), value, np.uint8)
    images.write(images.Photo(pixels, images.format_of(path)), path)
    return path


def named(folder: Path, *names: str) -> list[Path]:
    return [photo(folder / name) for name in names]


def outputs(jobs: tuple[Job, ...], below: Path) -> list[str]:
    return [job.output.relative_to(below).as_posix() for job in jobs]


def tree(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in files)


def do(jobs: tuple[Job, ...], **options: object) -> list[Result]:
    return list(run(jobs, identity, **options))  # type: ignore[arg-type]


# --- what to do ----------------------------------------------------------------------------------


def test_one_photo_goes_to_a_file_or_into_a_folder(tmp_path: Path) -> None:
    a = photo(tmp_path / "a.png")
    (tmp_path / "there.png").mkdir()
    for output, expected in [
        ("b.jpg", "b.jpg"),
        ("clean", "clean/a.png"),
        ("photos.2024", "photos.2024/a.png"),
        ("there.png", "there.png/a.png"),
    ]:
        jobs = plan([a], tmp_path / output).jobs
        assert outputs(jobs, tmp_path) == [expected]


def test_a_folder_stands_for_the_photos_directly_in_it(tmp_path: Path) -> None:
    named(tmp_path / "in", "b.jpg", "a.PNG", "c.TIFF", "d.webp", "sub/e.jpg", ".hidden.jpg")
    for other in ("notes.txt", "a.xmp", "._b.jpg", "x.jxl", "y.PSD", "z.psd"):
        (tmp_path / "in" / other).write_bytes(b"?")
    found = plan([tmp_path / "in"], tmp_path / "out")
    assert outputs(found.jobs, tmp_path / "out") == ["a.PNG", "b.jpg", "c.TIFF", "d.webp"]
    assert found.left_out == {".jxl": 1, ".psd": 2}
    assert found.deeper


def test_subfolders_keep_their_tree(tmp_path: Path) -> None:
    named(tmp_path, "a.jpg", "2023/a.jpg", "2023/may/b.jpg", ".cache/c.jpg", "out/2023/a.jpg")
    found = plan([tmp_path], tmp_path / "out", recursive=True)
    # What an earlier run put into the output folder is no input, nor is what is hidden.
    assert outputs(found.jobs, tmp_path / "out") == ["a.jpg", "2023/a.jpg", "2023/may/b.jpg"]
    assert not found.deeper


def test_subfolders_of_any_folder_are_told_of(tmp_path: Path) -> None:
    named(tmp_path, "a/1.jpg", "a/below/2.jpg", "b/3.jpg", "c/.hidden/4.jpg", "c/.5.jpg")
    folders = [tmp_path / name for name in "abc"]
    found = plan(folders, tmp_path / "out")
    assert outputs(found.jobs, tmp_path / "out") == ["1.jpg", "3.jpg"]
    assert found.deeper
    assert not plan(folders[1:], tmp_path / "out").deeper


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.jpg")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    found = plan([tmp_path / "in"], tmp_path / "out", recursive=True)
    assert outputs(found.jobs, tmp_path / "out") == ["a.jpg"]


def test_the_format_changes_the_suffix_only_where_it_must(tmp_path: Path) -> None:
    names = ["a.png", "b.JPG", "c.jpeg", "d.e.tif", "f.unknown", "g"]
    inputs = [tmp_path / name for name in names]
    found = plan(inputs, tmp_path / "out", format="JPG")
    expected = ["a.jpg", "b.JPG", "c.jpeg", "d.e.jpg", "f.unknown.jpg", "g.jpg"]
    assert outputs(found.jobs, tmp_path / "out") == expected


def test_a_photo_given_twice_is_done_once(tmp_path: Path) -> None:
    (a,) = named(tmp_path / "in", "a.jpg")
    again = tmp_path / "in" / ".." / "in" / "a.jpg"
    found = plan([a, tmp_path / "in", again], tmp_path / "out")
    assert outputs(found.jobs, tmp_path / "out") == ["a.jpg"]


@pytest.mark.parametrize(
    ("inputs", "output", "options", "message"),
    [
        (["a.jpg"], "a.jpg", {}, "is an input"),
        (["a.jpg"], ".", {}, "is an input"),
        (["a.jpg"], "sub/../a.jpg", {}, "is an input"),
        (["a.jpg"], "link.jpg", {}, "is an input"),
        (["a.jpg"], "hard.jpg", {}, "is an input"),
        (["."], ".", {}, "is an input"),
        (["a.jpg", "a.png"], ".", {"format": "png"}, "is an input"),
        (["a.jpg", "sub/a.jpg"], "out", {}, "would both become"),
        (["a.jpg", "a.png"], "out", {"format": "png"}, "would both become"),
        (["a.jpg", "a.png"], "b.jpg", {}, "names one file"),
        (["sub"], "b.jpg", {}, "names one file"),
        (["a.jpg"], "b.nef", {}, "cannot write .nef"),
        (["a.jpg"], "notes.txt", {}, "is a file, and not a picture"),
        (["a.jpg"], "b.png", {"format": "jpg"}, "contradicts"),
        (["a.jpg"], "out", {"format": "gif"}, "unknown format"),
    ],
)
def test_wrong_usage_is_refused(
    tmp_path: Path, inputs: list[str], output: str, options: dict[str, str], message: str
) -> None:
    named(tmp_path, "a.jpg", "a.png", "sub/a.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a.jpg")
    os.link(tmp_path / "a.jpg", tmp_path / "hard.jpg")
    (tmp_path / "notes.txt").write_text("?")
    before = tree(tmp_path)
    with pytest.raises(UsageError, match=message):
        plan([tmp_path / name for name in inputs], tmp_path / output, **options)  # type: ignore[arg-type]
    assert tree(tmp_path) == before


def test_photos_that_collide_are_refused_and_the_others_done(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    a, b, c, d = named(folder, "a.jpg", "sub/a.jpg", "b.jpg", "c.png")
    found = plan([a, b, c, d], tmp_path / "out")
    assert [job.input for job in found.jobs] == [c, d]
    assert [result.input for result in found.refused] == [a, b]
    assert {result.status for result in found.refused} == {"failed"}
    assert str(b) in str(found.refused[0].reason)
    assert "give them separately" in str(found.refused[0].reason)
    # An output that is an input: b.jpg lies in the folder of the outputs already.
    found = plan([a, c], folder / "sub")
    assert [job.input for job in found.jobs] == [a, c]
    found = plan([a, b, c], folder / "sub")
    assert [result.input for result in found.refused] == [a, b]


def test_patterns_that_the_shell_did_not_expand(tmp_path: Path) -> None:
    named(tmp_path, "in/a.jpg", "in/b.jpg", "in/c.png", "in/[x].png")
    found = plan([tmp_path / "in" / "*.jpg"], tmp_path / "out")
    assert outputs(found.jobs, tmp_path / "out") == ["a.jpg", "b.jpg"]
    named(tmp_path, "in/2023/d.jpg", "in/2023/may/e.jpg")
    found = plan([tmp_path / "in" / "**" / "*.jpg"], tmp_path / "out")
    assert outputs(found.jobs, tmp_path / "out") == ["d.jpg", "e.jpg", "a.jpg", "b.jpg"]
    # A file of that very name comes first, and a pattern of nothing is a file that is missing.
    found = plan([tmp_path / "in" / "[x].png"], tmp_path / "out")
    assert outputs(found.jobs, tmp_path / "out") == ["[x].png"]
    (result,) = do(plan([tmp_path / "none*.png"], tmp_path / "out").jobs)
    assert result.reason == images.NO_SUCH_FILE


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_that_lead_nowhere_have_a_reason(tmp_path: Path) -> None:
    (a,) = named(tmp_path / "in", "a.jpg")
    (tmp_path / "in" / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "in" / "ring").symlink_to(".")
    (tmp_path / "in" / "gone.jpg").symlink_to("nothing.jpg")
    found = plan([tmp_path / "in"], tmp_path / "out", recursive=True)
    results = {r.input.name: r for r in do(found.jobs)}
    assert results["a.jpg"].status == "done"
    assert "symbolic links" in str(results["loop.jpg"].reason)
    assert results["gone.jpg"].reason == images.NO_SUCH_FILE
    assert len(results) == 3
    assert a.exists()


def test_previews_have_names_of_their_own(tmp_path: Path) -> None:
    named(tmp_path, "in/a.jpg", "in/a.png")
    found = plan([tmp_path / "in"], tmp_path / "out", preview=True)
    assert outputs(found.jobs, tmp_path / "out") == ["a.jpg.preview.png", "a.png.preview.png"]
    with pytest.raises(UsageError, match="a preview is a PNG file"):
        plan([tmp_path / "in" / "a.jpg"], tmp_path / "b.jpg", preview=True)


def test_a_format_says_nothing_of_previews(tmp_path: Path) -> None:
    (a,) = named(tmp_path, "a.jpg")
    found = plan([a], tmp_path / "p.png", preview=True, format="jpg")
    assert outputs(found.jobs, tmp_path) == ["p.png"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (a, b) = named(tmp_path, "a.jpg", "b.jpg")
    with pytest.raises(UsageError, match="is a file: name a folder"):
        plan([a], b, into_folder=True)
    with pytest.raises(UsageError, match="cannot go to the standard output"):
        plan([a], Path("-"))


def test_other_photos_are_spared(tmp_path: Path) -> None:
    a, b, _ = named(tmp_path, "in/a.jpg", "in/b.jpg", "out/a.jpg")
    found = plan([a, b], tmp_path / "out", spare=[tmp_path / "out" / "a.jpg"])
    assert [job.input for job in found.jobs] == [b]
    assert [result.input for result in found.refused] == [a]


def test_camera_raw_becomes_tiff(tmp_path: Path) -> None:
    for name in ("a.NEF", "b.dng"):
        (tmp_path / name).write_bytes(b"?")
    with pytest.raises(UsageError, match=r"cannot write \.dng files"):
        plan([tmp_path / "a.NEF"], tmp_path / "c.DNG")
    inputs = [tmp_path / "a.NEF", tmp_path / "b.dng"]
    assert outputs(plan(inputs, tmp_path / "out").jobs, tmp_path / "out") == ["a.tif", "b.tif"]
    found = plan(inputs, tmp_path / "out", format="jpg")
    assert outputs(found.jobs, tmp_path / "out") == ["a.jpg", "b.jpg"]


def test_pictures_that_are_never_read_are_counted(tmp_path: Path) -> None:
    for name in ("a.mpo", "b.GPR"):
        (tmp_path / name).write_bytes(b"?")
    assert plan([tmp_path], tmp_path / "out").left_out == {".mpo": 1, ".gpr": 1}


def test_what_needs_an_extra_is_left_out_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    named(tmp_path, "in/a.jpg")
    for name in ("b.heic", "c.heic", "d.nef"):
        (tmp_path / "in" / name).write_bytes(b"?")
    found = plan([tmp_path / "in"], tmp_path / "out")
    assert outputs(found.jobs, tmp_path / "out") == ["a.jpg"]
    assert found.left_out == {".heic": 2, ".nef": 1}
    assert found.hints == (
        "HEIC needs: pip install 'invdn[heif]'",
        "camera raw needs: pip install 'invdn[raw]'",
    )


# --- doing it ------------------------------------------------------------------------------------


def test_a_bad_photo_costs_that_photo_only(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    named(folder, "a.jpg", "f.png")
    content = photo(folder / "b.jpg").read_bytes()
    (folder / "b.jpg").write_bytes(content[:-40])
    (folder / "c.jpg").write_bytes(b"no picture")
    (folder / "d.jpg").write_bytes(b"")
    photo(folder / "e.png").rename(folder / "e.jpg")
    inputs = [folder, folder / "gone.jpg"]
    results = {r.input.name: r for r in do(plan(inputs, tmp_path / "out").jobs)}
    failed = {name: r.reason for name, r in results.items() if r.status == "failed"}
    assert sorted(failed) == ["b.jpg", "c.jpg", "d.jpg", "gone.jpg"]
    assert failed["gone.jpg"] == images.NO_SUCH_FILE
    assert failed["d.jpg"] == "the file is empty"
    assert "cut off" in str(failed["b.jpg"])
    assert tree(tmp_path / "out") == ["a.jpg", "e.jpg", "f.png"]
    assert results["e.jpg"].notices == ("this is really a PNG file",)
    good = results["a.jpg"]
    assert (good.width, good.height, good.megapixels) == (8, 6, 48e-6)
    assert good.seconds > 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "not enough memory"),
        (OSError(28, "No space left on device"), "no space left on device: make room"),
        (ValueError("the image is\nstrange"), "the image is strange"),
        (ModelError("the device failed"), "the device failed"),
        (RuntimeError("boom"), "unexpected error, please report it: RuntimeError: boom"),
    ],
)
def test_any_error_in_a_photo_is_its_reason(tmp_path: Path, error: Exception, reason: str) -> None:
    jobs = plan(named(tmp_path, "a.png", "b.png"), tmp_path / "out").jobs

    @InOneRegion
    def fails_once(image: images.Pixels, **_: object) -> images.Pixels:
        if not (tmp_path / "failed").exists():
            (tmp_path / "failed").touch()
            raise error
        return image

    first, second = run(jobs, fails_once)
    assert (first.status, second.status) == ("failed", "done")
    assert reason in str(first.reason)
    assert (first.no_room, second.no_room) == (isinstance(error, OSError), False)


def test_a_full_disk_is_told_from_other_failures_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = plan(named(tmp_path, "a.png"), tmp_path / "out").jobs
    for number, no_room in ((errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False)):

        def fails(*_: object, number: int = number) -> None:
            raise OSError(number, "no")

        monkeypatch.setattr(writing, "encode", fails)
        (result,) = do([job])
        assert (result.status, result.no_room) == ("failed", no_room)
        assert str(result.reason).startswith(f"cannot write {job.output}: ")  # not its folder


def test_what_is_there_is_skipped_so_that_a_batch_can_go_on(tmp_path: Path) -> None:
    jobs = plan(named(tmp_path / "in", "a.png", "b.png"), tmp_path / "out").jobs
    photo(tmp_path / "out" / "a.png", value=7)
    assert [r.status for r in do(jobs)] == ["skipped", "done"]
    assert images.read(tmp_path / "out" / "a.png").pixels.max() == 7
    assert [r.status for r in do(jobs, settings=Settings(overwrite=True))] == ["done", "done"]
    assert images.read(tmp_path / "out" / "a.png").pixels.max() == 100


def test_an_input_that_is_gone_fails_even_if_its_output_is_there(tmp_path: Path) -> None:
    photo(tmp_path / "out" / "a.png")
    (result,) = do(plan([tmp_path / "a.png"], tmp_path / "out").jobs)
    assert (result.status, result.reason) == ("failed", images.NO_SUCH_FILE)


def test_an_output_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    jobs = plan(named(tmp_path, "a.png"), tmp_path / "b.png").jobs

    @InOneRegion
    def slow(image: images.Pixels, **_: object) -> images.Pixels:
        (tmp_path / "b.png").write_bytes(b"precious")
        return image

    (result,) = run(jobs, slow)
    assert result.status == "skipped"
    assert (tmp_path / "b.png").read_bytes() == b"precious"


def test_a_photo_that_is_edited_meanwhile_fails(tmp_path: Path) -> None:
    """Its output would be that of the old one, or of half of each."""
    (job,) = plan(named(tmp_path / "in", "a.png"), tmp_path / "out").jobs

    @InOneRegion
    def slow(image: images.Pixels, **_: object) -> images.Pixels:
        job.input.write_bytes(job.input.read_bytes() + b"edited")
        return image

    record = manifest.Manifest(tmp_path / "out", {})
    for kept in (record, None):
        result = run_one(job, slow, record=kept)
        assert (result.status, result.reason) == ("failed", images.CHANGED)
        assert tree(tmp_path / "out") == []


def test_a_photo_that_is_deleted_meanwhile_is_done(tmp_path: Path) -> None:
    (job,) = plan(named(tmp_path / "in", "a.png"), tmp_path / "out").jobs

    @InOneRegion
    def slow(image: images.Pixels, **_: object) -> images.Pixels:
        job.input.unlink()
        return image

    result = run_one(job, slow, record=manifest.Manifest(tmp_path / "out", {}))
    assert (result.status, result.reason) == ("done", None)
    (record,) = manifest.load(tmp_path / "out").records["a.png"]
    assert record["sha256"] is None
    photo(job.input, value=3)  # another one of that name
    state = manifest.load(tmp_path / "out").state(job.input, job.output, record["settings"])
    assert state == "ours"


def test_strength_and_quality_arrive(tmp_path: Path) -> None:
    jobs = plan(named(tmp_path, "a.png"), tmp_path / "out", format="jpg").jobs
    seen = []

    @InOneRegion
    def noting(image: images.Pixels, *, strength: float = 1.0, **_: object) -> images.Pixels:
        seen.append(strength)
        return image

    list(run(jobs, noting, settings=Settings(strength=0.4, quality=71)))
    assert seen == [0.4]
    facts = images.read(tmp_path / "out" / "a.jpg").jpeg
    assert facts is not None
    assert facts.quality == 71


def test_a_name_without_a_format_fails_before_the_work(tmp_path: Path) -> None:
    a = photo(tmp_path / "a.png").rename(tmp_path / "scan")
    (result,) = run(plan([a], tmp_path / "out").jobs, never)
    assert "--format" in str(result.reason)


def test_that_there_is_no_such_photo_comes_before_what_its_output_lacks(tmp_path: Path) -> None:
    (result,) = run(plan([tmp_path / "holliday"], tmp_path / "out").jobs, never)
    assert result.reason == images.NO_SUCH_FILE
    assert "no such file or folder" in images.NO_SUCH_FILE
    assert tree(tmp_path) == []


def test_an_output_folder_that_cannot_be_made_is_a_reason_before_the_work(tmp_path: Path) -> None:
    found = plan(named(tmp_path, "a.png"), tmp_path / "file" / "out")
    (tmp_path / "file").write_text("in the way")
    (result,) = run(found.jobs, never)
    assert (result.status, result.stops_batch) == ("failed", False)
    folder = tmp_path / "file"
    start = f"cannot make the folder {folder}/out: {folder}: not a directory"
    assert str(result.reason).startswith(start)
    result = run_one(found.jobs[0], never, record=manifest.Manifest(folder / "out", {}))
    assert str(result.reason).startswith(start)
    assert (result.unwritable, result.no_room, result.stops_batch) == (True, False, True)
    result = run_one(found.jobs[0], never, record=manifest.Manifest(tmp_path, {}))
    assert not result.stops_batch  # others' outputs lie elsewhere


def test_a_path_that_is_too_long_costs_only_its_photo(tmp_path: Path) -> None:
    (a,) = named(tmp_path, "a.png")
    job = Job(a, tmp_path / "out" / ("x" * 300) / "a.png")
    result = run_one(job, never, record=manifest.Manifest(tmp_path / "out", {}))
    assert "file name too long" in str(result.reason)
    assert (result.status, result.stops_batch) == ("failed", False)
    assert tree(tmp_path) == ["a.png"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_an_output_folder_that_cannot_be_written_is_a_reason_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuses(*_: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "out" / ".invdn-0.tmp"))

    (job,) = plan(named(tmp_path, "a.png"), tmp_path / "out").jobs
    monkeypatch.setattr(atomic, "_locked_file", refuses)
    result = run_one(job, never, record=manifest.Manifest(tmp_path / "out", {}))
    start = f"cannot write into the folder {tmp_path / 'out'}: {os.strerror(number).lower()}: "
    assert str(result.reason).startswith(start)
    assert result.stops_batch
    assert tree(tmp_path) == ["a.png"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EISDIR])
def test_a_list_that_cannot_be_written_is_named_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (job,) = plan(named(tmp_path, "a.png"), tmp_path / "out").jobs
    path = tmp_path / "out" / manifest.NAME
    if number == errno.EISDIR:
        path.mkdir(parents=True)
    else:  # tests may run as root, who can write everything

        def refuses(*_: object) -> None:
            raise OSError(number, os.strerror(number), str(path))

        monkeypatch.setattr(manifest.os, "open", refuses)
    result = run_one(job, never, record=manifest.Manifest(tmp_path / "out", {}))
    reason = images.reason(OSError(number, os.strerror(number)))
    assert result.reason == f"cannot write the list {path}: {reason}"
    assert "choose another" in reason
    assert result.stops_batch


def test_what_another_run_makes_or_has_made_is_not_done_twice(tmp_path: Path) -> None:
    first, second = plan(named(tmp_path, "a.png", "b.png"), tmp_path / "out").jobs
    record = manifest.Manifest(tmp_path / "out", {})  # as it was when both runs began
    reasons = []

    @InOneRegion
    def meanwhile(image: images.Pixels, **_: object) -> images.Pixels:
        reasons.append(run_one(first, never, record=record).reason)
        assert run_one(second, identity, record=record).status == "done"
        return image

    assert run_one(first, meanwhile, record=record).status == "done"
    results = [run_one(job, never, record=record) for job in (first, second)]
    reasons += [result.reason for result in results]
    assert reasons == [images.IN_WORK, images.MADE, images.MADE]
    assert {result.status for result in results} == {"skipped"}
    first.output.write_bytes(b"made by somebody else")
    assert run_one(first, never, record=record).reason == images.EXISTS


def test_a_failure_leaves_no_empty_folders(tmp_path: Path) -> None:
    (job,) = plan(named(tmp_path, "in/a.png"), tmp_path / "out" / "deep").jobs
    (result,) = run([job], never)
    assert result.status == "failed"
    assert tree(tmp_path) == ["in/a.png"]
    assert not (tmp_path / "out").exists()


def test_progress_is_told(tmp_path: Path) -> None:
    jobs = plan(named(tmp_path, "a.png", "b.png"), tmp_path / "out").jobs
    told: list[tuple[str, float]] = []
    do(jobs, progress=lambda job, fraction: told.append((job.input.name, fraction)))
    # The last time it is asked whether the result may have its name.
    assert told == [(name, f) for name in ("a.png", "b.png") for f in (0.0, 0.5, 1.0, 1.0)]


@pytest.mark.parametrize("asked", [1, 2, 3, 4, 5])
def test_cancelling_leaves_whole_photos_only(tmp_path: Path, asked: int) -> None:
    jobs = plan(named(tmp_path, "a.png", "b.png"), tmp_path / "out").jobs
    answers = iter([False] * asked + [True] * 9)
    results = do(jobs, cancelled=lambda: next(answers))
    assert [r.status for r in results] == ["done"] * (asked // 4)
    assert tree(tmp_path / "out") == ["a.png"][: asked // 4]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_result_that_is_cancelled_while_it_is_encoded_gets_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    (job,) = plan(named(tmp_path, "a.png"), tmp_path / "out").jobs
    if overwrite:
        photo(job.output, 7)
    record = manifest.Manifest(tmp_path / "out", {})
    encode, cancelled = writing.encode, []

    def encode_and_cancel(*arguments: Any) -> None:
        encode(*arguments)
        cancelled.append(True)

    def progress(_: float) -> None:
        if cancelled:
            raise Cancelled

    monkeypatch.setattr(writing, "encode", encode_and_cancel)
    settings = Settings(overwrite=overwrite)
    with pytest.raises(Cancelled):
        run_one(job, identity, settings=settings, progress=progress, record=record)
    assert tree(tmp_path / "out") == (["a.png"] if overwrite else [])
    if overwrite:
        assert images.read(job.output).pixels.max() == 7


def test_an_interrupt_leaves_whole_photos_only(tmp_path: Path) -> None:
    jobs = plan(named(tmp_path, "a.png", "b.png"), tmp_path / "out").jobs
    results = run(jobs, identity, progress=_interrupt_in_second(jobs))
    assert next(results).status == "done"
    with pytest.raises(KeyboardInterrupt):
        next(results)
    assert tree(tmp_path / "out") == ["a.png"]


def _interrupt_in_second(jobs: tuple[Job, ...]) -> Callable[[Job, float], None]:
    def progress(job: Job, fraction: float) -> None:
        if job == jobs[1] and fraction == 0.5:
            raise KeyboardInterrupt

    return progress


# --- results without an output folder -------------------------------------------------------------


def test_results_lie_beside_their_photos_or_in_one_folder(tmp_path: Path) -> None:
    photos = named(tmp_path, "a/x.jpg", "b/x.jpg", "b/y.png")
    beside = outputs(place(photos, None), tmp_path)
    assert beside == ["a/x-denoised.jpg", "b/x-denoised.jpg", "b/y-denoised.png"]
    together = outputs(place(photos, tmp_path / "out", format="png"), tmp_path)
    assert together == ["out/x.png", "out/x-2.png", "out/y.png"]


def test_a_name_that_is_taken_gets_a_number_or_the_photo_is_skipped(tmp_path: Path) -> None:
    (a,) = named(tmp_path, "a.jpg")
    named(tmp_path, "a-denoised.jpg", "a-denoised-2.jpg")
    assert outputs(place([a], None), tmp_path) == ["a-denoised-3.jpg"]
    (kept,) = place([a], None, number=False)
    assert kept.output == tmp_path / "a-denoised.jpg"
    assert [r.status for r in do((kept,))] == ["skipped"]


def test_a_result_never_takes_the_name_of_a_photo(tmp_path: Path) -> None:
    photos = named(tmp_path, "a.jpg", "a-denoised.jpg")
    for number in (True, False):
        jobs = place(photos, None, number=number)
        assert outputs(jobs, tmp_path) == ["a-denoised-2.jpg", "a-denoised-denoised.jpg"]
        # As beside the photo, where the folder is the photo's own.
        (result,) = outputs(place(photos[:1], tmp_path, number=number), tmp_path)
        assert result == ("a-denoised-2.jpg" if number else "a-denoised.jpg")


def test_photos_are_found_before_their_results_have_names(tmp_path: Path) -> None:
    named(tmp_path, "in/b.jpg", "in/sub/a.jpg", "c.png")
    (tmp_path / "in" / "x.gif").write_bytes(b"GIF8")
    found = find([tmp_path / "c.png", tmp_path / "in"])
    assert [job.input.name for job in found.jobs] == ["c.png", "b.jpg", "a.jpg"]
    assert found.left_out == {".gif": 1}


def test_results_beside_their_photos_are_not_found_as_photos(tmp_path: Path) -> None:
    named(tmp_path, "a-denoised.tif", "a-denoised-2.tif", "b-denoised.jpg", "c-denoisedly.jpg")
    named(tmp_path, "sub/a-denoised.jpg", "c.jpg", "c-denoised-12.jpg")
    (tmp_path / "a.cr2").write_bytes(b"II*\0")
    names = [job.input.relative_to(tmp_path).as_posix() for job in find([tmp_path]).jobs]
    assert names == ["a.cr2", "b-denoised.jpg", "c-denoisedly.jpg", "c.jpg", "sub/a-denoised.jpg"]
    elsewhere = find([tmp_path], is_known_result=lambda path: path.name == "c.jpg")
    assert [job.input.name for job in elsewhere.jobs] == [
        Path(name).name for name in names if name != "c.jpg"
    ]
    both = find([tmp_path, tmp_path / "a-denoised.tif"])
    assert tmp_path / "a-denoised.tif" in [job.input for job in both.jobs]


def test_metadata_can_be_left_out(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    fields = {
        "xmp-data": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
        "icc-profile-data": _srgb_profile(),
    }
    pixels = np.full((6, 8, 3), 100, np.uint8)
    images.write(images.Photo(pixels, "tiff", fields=fields), source)
    for metadata in (True, False):
        jobs = plan([source], tmp_path / str(metadata)).jobs
        do(jobs, settings=Settings(metadata=metadata))
        kept = images.read(jobs[0].output).fields
        assert ("xmp-data" in kept) == metadata
        assert kept["icc-profile-data"] == fields["icc-profile-data"]


def _srgb_profile() -> bytes:
    import pyvips

    profile = pyvips.Operation.call("profile_load", "srgb")
    return profile if isinstance(profile, bytes) else bytes(profile)


def test_a_name_that_cannot_be_looked_up_costs_only_itself(tmp_path: Path) -> None:
    odd, good = tmp_path / ("x" * 300 + ".png"), tmp_path / "good.png"
    good.touch()
    assert [job.input for job in find([odd, good]).jobs] == [odd, good]
    result = run_one(Job(odd, tmp_path / "out.png"), InOneRegion(lambda x, **_: x))
    assert result.status == "failed"
    assert "file name too long" in str(result.reason)


def test_what_makes_no_sense_is_told_as_it_is() -> None:
    assert reason_of(UsageError("name a folder")) == "name a folder"


def test_a_search_can_be_stopped(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    asked = []

    def check() -> None:
        asked.append(1)
        if len(asked) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        find([tmp_path], check=check)
    assert len(asked) == 2


def test_a_link_that_may_not_be_read_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of other users' processes in /proc."""
    photo(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "closed.png").symlink_to("nowhere.png")
    readlink = os.readlink

    def refuse(path: Any, **options: Any) -> Any:
        if Path(os.fsdecode(path)).name == "closed.png":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return readlink(path, **options)

    monkeypatch.setattr(os, "readlink", refuse)
    found = plan([tmp_path / "in"], tmp_path / "out")
    assert tmp_path / "in" / "a.png" in [job.input for job in found.jobs]
    assert batch.identity(tmp_path / "in" / "closed.png") == tmp_path / "in" / "closed.png"


def test_a_folder_that_may_not_be_looked_into_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether something is there, and what, cannot be known there."""
    photo(tmp_path / "in" / "a.png")
    photo(tmp_path / "in" / "below" / "b.png")
    closed = {tmp_path / "in" / "below", tmp_path / "closed" / "out", tmp_path / "closed/a.png"}

    def refuse(real: Callable[..., Any]) -> Callable[..., Any]:
        def stat(path: Any, *arguments: Any, **options: Any) -> Any:
            if not isinstance(path, int) and Path(os.fsdecode(path)) in closed:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
            return real(path, *arguments, **options)

        return stat

    monkeypatch.setattr(os, "stat", refuse(os.stat))
    monkeypatch.setattr(os, "lstat", refuse(os.lstat))
    found = plan([tmp_path / "in"], tmp_path / "closed" / "out", recursive=True)
    assert tmp_path / "in" / "a.png" in [job.input for job in found.jobs]
    assert plan([tmp_path / "in" / "a.png"], tmp_path / "closed" / "a.png").jobs
