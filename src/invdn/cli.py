"""The command `invdn`: a function a verb, and none of them computes anything."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TextIO

import typer
from typer.core import TyperGroup

from invdn._version import __version__

if TYPE_CHECKING:
    from invdn.batch import Job, Plan, Result
    from invdn.data.pairs import MadeNoise, Pair
    from invdn.evaluate import Evaluation
    from invdn.runtime import ModelInfo

SOME_FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130


class _Verbs(TyperGroup):
    """The verbs, whose options say in words of ours what is wrong with their values."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _in_plain_words(error.message, error.param)
            raise


def _in_plain_words(message: str, option: Any) -> str:
    """What a wrong value of an option should have been."""
    if not message.startswith("Input should be "):
        return message.removeprefix("Value error, ")
    low, high = getattr(option, "min", None), getattr(option, "max", None)
    whole = "integer" in message or isinstance(low, int)
    limits = [
        f"{word} {limit:g}" for word, limit in (("from", low), ("to", high)) if limit is not None
    ]
    return " ".join(
        ["it must be", "a whole number" if whole else "a number (such as 0.5)", *limits]
    )


app = typer.Typer(
    name="invdn",
    cls=_Verbs,
    help="Takes the noise out of real photographs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line."""
    # Without a file at the other end (2>&-) Python has no such stream: all is said to nobody then.
    sys.stdout = sys.stdout or _nobody()
    sys.stderr = sys.stderr or _nobody()
    for stream in (sys.stdout, sys.stderr):
        # A file name that the terminal cannot show must not end a batch.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # To be ended politely is like Ctrl-C: nothing half written stays.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if "" in sys.argv[1:]:
        # As a path it would be the current folder.
        _say("an argument is empty: a variable of the shell may not be set")
        sys.exit(WRONG_USAGE)
    app(prog_name="invdn")


def _nobody() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"invdn {__version__}")
        raise typer.Exit


def _check_finite(value: float) -> float:
    if not math.isfinite(value):
        raise typer.BadParameter("it must be a number")
    return value


# Options that several verbs have.
_Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Go into subfolders, and keep their tree.")
]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what exists already.")]


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


@app.command()
def denoise(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN",
            readable=False,  # one that is not fails by itself, and the others are done
            help="Photos, or folders of photos.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="A folder (OUT/ always is one); or a file, for exactly one photo.",
        ),
    ],
    strength: Annotated[
        float,
        typer.Option(
            metavar="NUMBER",
            min=0.0,
            max=1.5,
            callback=_check_finite,
            help="How much noise to remove: 0 none, 1 what the network believes to be noise. Up to"
            " 1.5 for faint noise; strong noise then shows again, inverted.",
        ),
    ] = 1.0,
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="photo; fast, in about 0.6 of the time; best, in twice the time; or an .onnx"
            " file.",
        ),
    ] = "photo",
    samples: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Average this many random latents, where the model has one."
        ),
    ] = 1,
    ensemble: Annotated[
        bool,
        typer.Option("--ensemble", help="Average all eight flips and rotations: 8 times the time."),
    ] = False,
    turns: Annotated[
        Literal["1", "2", "4", "8"],
        typer.Option(
            metavar="N",
            help="Average 2, 4 or 8 turned versions: better, in 2, 4 or 8 times the time.",
        ),
    ] = "1",
    seed: Annotated[int, typer.Option(metavar="N", help="Of the random latents.")] = 0,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1024,
            metavar="N",
            help="Processor threads in all; as many as cores by default.",
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "openvino"],
        typer.Option(
            metavar="DEVICE",
            help="cpu, cuda or openvino; auto takes the fastest that is installed.",
        ),
    ] = "auto",
    recursive: _Recursive = False,
    overwrite: _Overwrite = False,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="Write jpg, png, tif, webp, avif, heic, bmp or ppm instead of each's own.",
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            metavar="1-100",
            min=1,
            max=100,
            help="Of JPEG, WebP, AVIF and HEIC; by default a JPEG's own (90 at least), 92 for"
            " new ones.",
        ),
    ] = None,
    auto: Annotated[
        bool, typer.Option("--auto", help="Leave photos as they are that are clean already.")
    ] = False,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview",
            help="Write only the middle at 100%, before and after, as NAME.preview.png.",
        ),
    ] = False,
    jobs: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="How many photos to work on at once; they share the cores."
        ),
    ] = 1,
    keep_time: Annotated[
        bool, typer.Option("--keep-time", help="Keep the photos' modification times.")
    ] = False,
    max_megapixels: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Refuse larger pictures before they are decoded."),
    ] = 2000,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a photo, and nothing else.")
    ] = False,
) -> None:
    """Remove the noise from photos.

    Originals are never touched, and what others made is never replaced without --overwrite. Run
    a stopped batch again, and it does what is missing, and what has changed: the output folder
    keeps a list (.invdn-manifest.jsonl). JPEG, PNG, TIFF, WebP, AVIF, BMP and PPM are read and
    written; HEIC and camera raw need an extra: pip install 'invdn[heif,raw]'.

    Exit status: 0 all done or skipped, 1 some failed (each is named with its reason, the others
    are written), or the one file that OUT names exists already, 2 wrong usage, 130 interrupted.
    """
    with _expected_errors():
        from invdn.process import Process

        if ensemble and turns not in ("1", "8"):
            _fail("--ensemble is --turns 8: give one of them")
        if preview and (format is not None or quality is not None or auto):
            _fail("--preview writes a crop as PNG: leave --format, --quality and --auto out")
        asked = {"samples": (samples, 1), "turns": (8 if ensemble else int(turns), 1)}
        asked |= {"seed": (seed, 0)}
        averaged = {name: value for name, (value, usual) in asked.items() if value != usual}
        # It loads the model while this process still imports what it needs to look for photos.
        with Process(model, threads, jobs, averaged, device) as first:
            from invdn import batch, workers
            from invdn.restore import Settings

            plan = batch.plan(
                inputs,
                Path(output),
                recursive=recursive,
                format=format,
                preview=preview,
                into_folder=_names_a_folder(output),
            )
            _report_plan(plan, recursive)
            results = list(plan.refused)
            if as_json:
                for result in results:
                    _print(json.dumps(_as_json(result)))
            settings = Settings(
                strength=strength,
                quality=quality,
                auto=auto,
                preview=preview,
                keep_time=keep_time,
                overwrite=overwrite,
                max_pixels=max_megapixels * 1_000_000,
            )
            setup = workers.Setup(model, threads, jobs, settings, averaged, device)
            folder = None if preview else plan.folder
            start = time.monotonic()
            with _progress_bar(plan.jobs) as progress, _remainder_said(plan, results):
                running = workers.run(
                    plan.jobs, setup, folder=folder, first=first, progress=progress
                )
                with closing(running):
                    for result in running:
                        results.append(result)
                        if progress is not None:  # of a skipped or failed one it heard nothing
                            progress(batch.Job(result.input, result.output), 1.0)
                        _report_result(result, as_json)
                        if result.stops_batch:
                            _say_remainder(plan, results)
                            break
        if not as_json:
            _print(_summary(results, len(plan.unreadable), time.monotonic() - start))
        # Where OUT names a file, that file was wanted: what is there is not it.
        missing = ("failed",) if plan.folder is not None else ("failed", "skipped")
        if plan.unreadable or any(result.status in missing for result in results):
            raise typer.Exit(SOME_FAILED)


@app.command()
def info(
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="A model's name, or its .onnx file; all if none."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a model is."""
    with _expected_errors():
        from invdn import load
        from invdn.runtime import shipped_models

        models = shipped_models()
        if model is not None:
            models = {model: load(model).info}
        if as_json:
            found = [dataclasses.asdict(description) for description in models.values()]
            _print(json.dumps(found[0] if model is not None else found))
        else:
            _print("\n\n".join(map(_description, models.values())) or "no model is installed")


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="The settings.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")
    ] = False,
) -> None:
    """Train a network as a settings file says.

    Ctrl-C (or SIGTERM) finishes the step and saves; --resume goes on from there exactly; a second
    one ends at once. (Not so a noise head, which takes minutes.) On several GPUs: torchrun
    --nproc-per-node 4 -m invdn.cli train CONFIG.toml

    Exit status: 0 done or stopped, 1 the run cannot go on, 2 wrong usage.
    """
    with _expected_errors():
        with _training_extra("train"):
            from invdn.config import ConfigError, read_toml
            from invdn.train import TrainingError, train_from_config_file
            from invdn.train_noise import train_noise_from_config_file
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        logging.getLogger("pyvips").setLevel(logging.WARNING)  # it tells of every thread pool
        try:
            if "denoiser" in read_toml(config):  # a noise head for an existing denoiser
                if resume:
                    _fail("a noise head is trained in one go: leave --resume out")
                train_noise_from_config_file(config)
            else:
                train_from_config_file(config, resume)
        except ConfigError as error:
            _fail(str(error))
        except TrainingError as error:
            _say(str(error))
            raise typer.Exit(SOME_FAILED) from None


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Trained weights.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="MODEL.onnx", help="The file to write.")
    ],
    overwrite: _Overwrite = False,
) -> None:
    """Turn trained weights into an ONNX model."""
    with _expected_errors():
        with _training_extra("export"):
            from invdn.export import ExportError, export_checkpoint
        try:
            print(export_checkpoint(checkpoint, output, overwrite=overwrite))
        except ExportError as error:
            _fail(str(error))


@app.command()
def gui(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILES]", help="Photos, or folders of photos.")
    ] = None,
) -> None:
    """Open the desktop window."""
    with _expected_errors():
        try:
            from invdn.gui.app import missing_display, run
        except ImportError as error:
            if (error.name or "").partition(".")[0] == "invdn":
                raise
            _fail(_gui_missing(error))
        if missing := missing_display():
            _fail(missing)
        raise typer.Exit(run(files or []))


@app.command()
def noise(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN",
            readable=False,  # one that is not fails by itself, and the others are done
            help="Clean photos or folders; noisy ones with --perturb.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="OUT", help="A folder; or a file, for one photo."),
    ] = None,
    level: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="Standard deviation of the noise, of 255, before it is clipped to black and"
            " white.",
        ),
    ] = None,
    like: Annotated[
        Path | None, typer.Option(metavar="NOISY", help="Noise like this photo's.")
    ] = None,
    perturb: Annotated[
        float | None,
        typer.Option(metavar="EPSILON", help="Add this share of the noise that noisy photos have."),
    ] = None,
    camera: Annotated[
        bool, typer.Option("--camera", help="A level and a kind for each, as real cameras have.")
    ] = False,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT", help="Write noisy/ and clean/ below this folder, for training."
        ),
    ] = None,
    variants: Annotated[
        int, typer.Option(metavar="N", min=1, help="Noisy pictures of each photo.")
    ] = 1,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="The same seed makes the same noise.")
    ] = 0,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A noise model; the shipped one if none.")
    ] = None,
    recursive: _Recursive = False,
    overwrite: _Overwrite = False,
) -> None:
    """Make camera noise: on clean photos, or anew on noisy ones.

    Needs PyTorch: pip install 'invdn[train]'.
    """
    with _expected_errors():
        if sum((level is not None, like is not None, perturb is not None, camera)) != 1:
            _fail("say how much with one of --level, --like, --perturb and --camera")
        if (output is None) == (pairs is None):
            _fail("name either -o OUT or --pairs OUT")
        with _training_extra("noise"):
            from invdn import noise_photos as making
            from invdn.noise import load_noise_model
        from invdn import batch, images

        loaded = load_noise_model(model)
        recipe = making.Recipe(loaded, level, like, perturb, camera, seed)
        if pairs is not None and pairs.suffix.lower() in images.SUFFIXES and not pairs.is_dir():
            _fail(f"--pairs names a folder, and {pairs} looks like a picture")

        def files(output: Path) -> list[Path]:
            return [file for each in making.files_of(output, variants, pairs) for file in each]

        plan = batch.plan(
            inputs,
            pairs or Path(output or ""),
            recursive=recursive,
            into_folder=pairs is not None or _names_a_folder(output or ""),
            files=files,
        )
        _report_plan(plan, recursive)
        failed = bool(plan.unreadable or plan.refused)
        for made in making.make(
            plan.jobs, recipe, variants=variants, pairs=pairs, overwrite=overwrite
        ):
            failed |= made.reason is not None
            for notice in made.notices:
                _say(f"{made.input}: {notice}")
            if made.reason is None:
                much = f"σ {made.level_8bit:.1f}" if perturb is None else f"ε {perturb:g}"
                _print(_one_line(f"{made.output}: {much}"))
            else:
                _say(made.reason)
        if failed:
            raise typer.Exit(SOME_FAILED)


@app.command()
def evaluate(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="A folder with noisy/ and clean/ (or, with --sigma, only clean images); or what"
            " the protocol's site offers.",
        ),
    ],
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Models' names or files (.onnx, .safetensors), and tv, sparse, nlm, wavelet, bm3d;"
            " by default the shipped models, and, with invdn[eval], tv, nlm and wavelet.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="sidd-val, sidd-test or dnd instead of a folder of pairs."
        ),
    ] = None,
    submission: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where sidd-test and dnd write what their servers take."),
    ] = None,
    sigma: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            min=0.0,
            help="Add white noise of this σ (of 255) to the clean images.",
        ),
    ] = None,
    grain: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=8.0,
            metavar="PX",
            help="With --sigma: noise with a grain of so many pixels, half of it common to the"
            " channels, in place of white noise.",
        ),
    ] = None,
    enlarged: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            metavar="FACTOR",
            help="With --sigma: enlarge the pictures by so much, 8 at most, once they have their"
            " noise.",
        ),
    ] = None,
    crop: Annotated[
        int | None,
        typer.Option(metavar="PX", min=16, help="Only the centre square of this side, pixels."),
    ] = None,
    oracle: Annotated[
        bool,
        typer.Option("--oracle", help="The best strength for each image: an upper bound."),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write a page to look at; needs invdn[eval]."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers as JSON.")
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the table as CSV.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write every result as PNG.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=1024, help="Of networks; as many as cores by default."
        ),
    ] = None,
    overwrite: _Overwrite = False,
    made_noise: Annotated[
        bool, typer.Option("--noise", help="Measure made noise instead of denoisers.")
    ] = False,
    noise_model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For --noise; the shipped noise model if none."),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="For --noise: of each kind and image; 50 by default."
        ),
    ] = None,
) -> None:
    """Measure denoisers, or with --noise made noise, on pairs of noisy and clean photos.

    --noise needs PyTorch (pip install 'invdn[train]'), --report Matplotlib, and some methods
    scikit-image (pip install 'invdn[eval]').
    """
    with _expected_errors():
        with _extra("evaluate", "eval"):
            from invdn import evaluate as measuring
            from invdn.data.pairs import MadeNoise
        if report is not None:
            with _extra("--report", "eval"):  # better known before the work than after it
                import matplotlib  # noqa: F401

                from invdn.report import html_report

        outputs = [path for path in (report, json_file, csv_file) if path is not None]
        _check_outputs(outputs, overwrite)
        if protocol is not None and protocol not in measuring.PROTOCOLS:
            _fail(f"unknown protocol '{protocol}': choose {', '.join(measuring.PROTOCOLS)}")
        if grain is not None and sigma is None:
            _fail("--grain needs --sigma: how strong the noise is")
        if enlarged is not None and sigma is None:
            _fail("--enlarged needs --sigma: how strong the noise is")
        if protocol is not None and (sigma is not None or crop is not None):
            _fail("a protocol says which images are used: leave --sigma and --crop out")
        try:
            noise = None if sigma is None else MadeNoise(sigma, grain, enlarged)
        except ValueError as error:
            _fail(str(error))
        if save is not None:
            measuring.check_save(save, data)

        def pairs() -> list[Pair]:
            if protocol is not None:
                return measuring.sidd_validation(data)
            return measuring.folder_pairs(data, noise=noise, crop_px=crop, notice=_say)

        if made_noise:
            if sigma is not None:
                _fail("--noise measures real noise: leave --sigma out")
            if (
                methods
                or oracle
                or save
                or submission
                or csv_file
                or protocol not in (None, "sidd-val")
            ):
                _fail(
                    "--noise goes with --data, --protocol sidd-val, --crop, --noise-model, --draws,"
                    " --threads, --json, --report and --overwrite"
                )
            title = f"Noise of {_what_is_measured(data, protocol, None, crop)}"
            _evaluate_noise(
                pairs(), title, noise_model, draws, threads, report, json_file, overwrite
            )
            return
        if noise_model is not None or draws is not None:
            _fail("--noise-model and --draws go with --noise")
        names = [name.strip() for name in (methods or "").split(",") if name.strip()]
        names = names or list(measuring.default_methods())
        submits = protocol in ("sidd-test", "dnd")
        if submits and (submission is None or len(names) != 1):
            _fail(f"{protocol} needs --submission DIR and exactly one of --methods")
        if submits and (oracle or outputs or save is not None):
            _fail(f"{protocol} has no clean images: it only writes a submission")
        if submission is not None and not submits:
            _fail("--submission is for the protocols sidd-test and dnd")
        with ExitStack() as resources:
            resolved = measuring.resolve_methods(names, resources, threads=threads)
            for method in resolved:
                if method.notice:
                    _say(method.notice)
            if submission is not None:
                submit = (
                    measuring.sidd_test if protocol == "sidd-test" else measuring.dnd_submission
                )
                path, speed = submit(data, resolved[0], submission, overwrite=overwrite)
                print(f"{path}: {resolved[0].name}, {speed:.2f} s/MP")
                return
            what = _what_is_measured(data, protocol, noise, crop)
            evaluation = measuring.evaluate(
                pairs(),
                resolved,
                title=f"{what}, 8-bit results",
                oracle=oracle,
                examples=3 if report is not None else 0,
                save=save,
                overwrite=overwrite,
                progress=_say if sys.stderr.isatty() else None,
            )
        _print_scores(evaluation)
        known = {method.notice for method in resolved}
        for notice in evaluation.notices:
            if notice not in known:
                _say(notice)
        texts: dict[Path, Callable[[], str]] = {}
        if json_file is not None:
            texts[json_file] = evaluation.as_json
        if csv_file is not None:
            texts[csv_file] = evaluation.as_csv
        if report is not None:
            texts[report] = partial(html_report, evaluation)
        _write_texts(texts, overwrite)


def _names_a_folder(output: str) -> bool:
    """Whether a name ends as that of a folder only; a `Path` does not keep that."""
    return output.endswith(("/", os.sep))


# --- what is said --------------------------------------------------------------------------------


def _one_line(text: str) -> str:
    """The text without what a file's name may hold to break lines or to command a terminal."""
    marks = r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
    return re.sub(marks, lambda c: repr(c[0])[1:-1], text)


def _print(text: str) -> None:
    """Print results; where stdout takes no more, end with one line that says so."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # whoever reads it has read enough, and is told nothing
        raise
    except OSError as error:
        from invdn.images import reason

        # What is left in the buffer would fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _say(f"cannot write the results: {reason(error)}")
        raise typer.Exit(SOME_FAILED) from None


def _say(text: str) -> None:
    print(_one_line(f"invdn: {text}"), file=sys.stderr)


def _fail(text: str) -> NoReturn:
    _say(text)
    raise typer.Exit(WRONG_USAGE)


def _report_plan(plan: Plan, recursive: bool) -> None:
    for folder, reason in plan.unreadable:
        _say(f"{folder}: {reason}")
    for refused in plan.refused:
        _say(f"{refused.input}: {refused.reason}")
    if plan.left_out:
        counted = ", ".join(f"{n} {suffix}" for suffix, n in sorted(plan.left_out.items()))
        _say(f"left out, because the format is not supported: {counted}")
        for hint in plan.hints:
            _say(hint)
    if plan.links:
        _say(f"left out, because links to folders are not followed: {_some(plan.links)}")
    if not plan.jobs:
        hint = "; --recursive looks into subfolders too" if plan.deeper and not recursive else ""
        _say(f"no photos found{hint}")


def _some(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(map(str, paths[:3])) + more


def _report_result(result: Result, as_json: bool) -> None:
    for notice in result.notices:
        _say(f"{result.input}: {notice}")
    if result.status != "done" and not _is_known(result):
        skipped = "skipped: " if result.status == "skipped" else ""
        _say(f"{result.input}: {skipped}{result.reason}")
    if as_json:
        _print(json.dumps(_as_json(result)))
    elif result.status == "done":
        size = f"{result.megapixels:.1f} MP in {result.seconds:.1f} s"
        if result.left_as_is:
            size += f", left as it is (noise {result.noise:.2f} of 255)"
        _print(_one_line(f"{result.input}: {size}, {result.output}"))


def _as_json(result: Result) -> dict[str, Any]:
    return {
        "input": str(result.input),
        "output": str(result.output),
        "status": result.status,
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
        "width": result.width,
        "height": result.height,
        "notices": list(result.notices),
        "noise": None if result.noise is None else round(result.noise, 2),
        "left_as_is": result.left_as_is,
    }


def _summary(results: Sequence[Result], unreadable: int, seconds: float) -> str:
    counts = Counter(result.status for result in results)
    counts["failed"] += unreadable
    known = sum(_is_known(result) for result in results)
    megapixels = sum(result.megapixels for result in results if result.status == "done")
    parts = [f"{counts['done']} done ({megapixels:.1f} MP in {seconds:.1f} s)"]
    if counts["skipped"]:
        of_them = f" ({known} done already)" if known else ""
        parts.append(f"{counts['skipped']} skipped{of_them}")
    if counts["failed"]:
        parts.append(f"{counts['failed']} failed")
    return ", ".join(parts)


def _is_known(result: Result) -> bool:
    """Whether an earlier run has done it: in a rerun so many are that they are only counted."""
    from invdn.batch import DONE_ALREADY

    return result.reason == DONE_ALREADY


def _description(model: ModelInfo) -> str:
    rounded = ", noise estimated in bfloat16" if model.precision == "bfloat16" else ""
    rows = {
        "name": model.name,
        "version": model.version,
        "released": model.released,
        "licence": model.licence,
        "trained on": model.data,
        "steps": f"{model.steps:,}" if model.steps else "",
        "parameters": f"{model.parameters:,}",
        "MACs/pixel": f"{model.macs_per_pixel:,}",
        "random latent": f"{model.latent_channels} channels" if model.latent_channels else "",
        "tile, halo": f"{model.tile} px, {model.halo} px",
        "device": f"{model.device}, {model.threads} threads{rounded}" if model.device else "",
        "sha256": model.sha256,
        **{what: f"{score:g}" for what, score in model.scores.items()},
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items() if value)


def _what_is_measured(
    data: Path, protocol: str | None, noise: MadeNoise | None, crop: int | None
) -> str:
    if protocol is not None:
        return "SIDD validation"
    cut = f"the centre, {crop}×{crop} at most" if crop else "whole images"
    parts = (data.resolve().name, "" if noise is None else str(noise), cut)
    return ", ".join(filter(None, parts))


def _evaluate_noise(
    pairs: Sequence[Pair],
    title: str,
    model: Path | None,
    draws: int | None,
    threads: int | None,
    report: Path | None,
    json_file: Path | None,
    overwrite: bool,
) -> None:
    with _training_extra("evaluate --noise"):
        from invdn.noise import load_noise_model
    with _extra("evaluate --noise", "eval"):
        from invdn.evaluate_noise import DRAWS, evaluate_noise, html_noise_report

        loaded = load_noise_model(model)
        try:
            evaluation = evaluate_noise(
                pairs,
                loaded,
                title=title,
                draws=draws or DRAWS,
                threads=threads,
                progress=_say if sys.stderr.isatty() else None,
            )
        except ValueError as error:
            _fail(str(error))
        for row in evaluation.rows():
            score = "" if row["akld"] is None else f", AKLD {row['akld']:.3f}"
            print(f"{row['kind']}: σ {row['sigma']:.1f}{score}")
        texts: dict[Path, Callable[[], str]] = {}
        if json_file is not None:
            texts[json_file] = evaluation.as_json
        if report is not None:
            texts[report] = partial(html_noise_report, evaluation)
        _write_texts(texts, overwrite)


def _print_scores(evaluation: Evaluation) -> None:
    """A table on stdout, best first."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=_one_line(evaluation.title))
    table.add_column("method", overflow="fold")
    for name in ("PSNR, dB", "SSIM", "s/MP", "gain, dB"):
        table.add_column(name, justify="right")
    table.add_column("worst image", overflow="fold")
    for row in sorted(evaluation.rows(), key=lambda row: -row["psnr"]):
        bound = " (upper bound: best strength)" if row["oracle"] else ""
        table.add_row(
            _one_line(row["method"]) + bound,
            f"{row['psnr']:.2f}",
            f"{row['ssim']:.4f}",
            f"{row['s_per_mp']:.2f}",
            f"{row['gain']:+.2f}",
            f"{_one_line(row['worst_image'])} ({row['worst_gain']:+.2f})",
        )
    # A name may look like markup, or like :smile:.
    width = None if sys.stdout.isatty() else 120
    Console(width=width, emoji=False).print(table, markup=False)
    count = len(evaluation.noisy_psnr)
    print(f"{count} image{'s' if count != 1 else ''}")


def _check_outputs(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuse, before anything is measured, what could not be written afterwards."""
    for index, path in enumerate(paths):
        if path.resolve() in [other.resolve() for other in paths[:index]]:
            _fail(f"{path} is named twice: name a file for each")
        if path.is_dir():
            _fail(f"{path} is a folder: name a file")
        if path.exists() and not overwrite:
            _fail(f"{path} exists already and is only replaced with --overwrite")
        if not path.parent.is_dir():
            _fail(f"there is no folder {path.parent}")
        if not os.access(path.parent, os.W_OK):
            _fail(f"the folder {path.parent} cannot be written to: choose another")


def _write_texts(texts: Mapping[Path, Callable[[], str]], overwrite: bool) -> None:
    """Write each file that can be written: what was measured may have taken hours."""
    from invdn.images import atomically, reason

    failed = False
    for path, text in texts.items():
        try:
            with atomically(path, overwrite=overwrite) as file:
                file.write(text().encode("utf-8", "backslashreplace"))
        except Exception as error:  # whatever it is, the others are to be written
            failed = True
            why = reason(error) if isinstance(error, OSError) else f"{error!r}"
            _say(f"{path} cannot be written: {why}")
        else:
            print(path)
    if failed:
        raise typer.Exit(SOME_FAILED)


@contextmanager
def _progress_bar(jobs: Sequence[Job]) -> Iterator[Callable[[Job, float], None] | None]:
    """A progress bar on stderr, if that is a terminal; what moves it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    bar = Progress(
        TextColumn("{task.description}", markup=False),  # a name may look like markup
        BarColumn(),
        TextColumn("{task.percentage:.0f}%"),
        MofNCompleteColumn(),
        Remaining(),
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),  # a pipe must get the results unredirected
        transient=True,
    )
    done: dict[Job, float] = {}

    def update(job: Job, fraction: float) -> None:
        done[job] = fraction
        bar.update(task, completed=sum(done.values()), description=job.input.name)

    with bar:
        task = bar.add_task("", total=len(jobs))
        yield update


def _gui_missing(error: ImportError) -> str:
    if error.name is None:  # PySide6 is there, and a library of the system is not
        return f"the window cannot be opened: {error}"
    return "gui needs PySide6: pip install 'invdn[gui]'"


# --- what may go wrong ---------------------------------------------------------------------------


@contextmanager
def _expected_errors() -> Iterator[None]:
    """Turn what a user can cause into one line and an exit status."""
    try:
        yield
    except KeyboardInterrupt:
        _say("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        # Not before: the working process is to be started before anything heavy is imported.
        from invdn.batch import UsageError
        from invdn.denoiser import OptionError
        from invdn.runtime import ModelError
        from invdn.workers import NotStartedError

        if isinstance(error, NotStartedError):
            _say(str(error))
            raise typer.Exit(SOME_FAILED) from None
        if isinstance(error, (UsageError, OptionError, ModelError)):
            _fail(str(error))
        raise


@contextmanager
def _remainder_said(plan: Plan, results: Sequence[Result]) -> Iterator[None]:
    """On an interrupt, say how much is left."""
    try:
        yield
    except KeyboardInterrupt:
        _say_remainder(plan, results)
        raise


def _say_remainder(plan: Plan, results: Sequence[Result]) -> None:
    if left := len(plan.jobs) + len(plan.refused) - len(results):
        _say(f"{left} of {len(plan.jobs)} photos are left: the same command again does them")


@contextmanager
def _extra(what: str, extra: str, needs: str = "") -> Iterator[None]:
    """Around imports that need an extra: say what to install where it is missing.

    ``needs``: what is missing then, in words; by default the module's name.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "invdn":
            raise
        _fail(f"{what} needs {needs or error.name}: pip install 'invdn[{extra}]'")


def _training_extra(verb: str) -> AbstractContextManager[None]:
    """Around imports that need PyTorch: say what to install where it is not."""
    return _extra(verb, "train", needs="PyTorch")


if __name__ == "__main__":
    main()
