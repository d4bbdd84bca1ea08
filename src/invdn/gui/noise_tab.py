"""The noise tab: a clean picture gets the noise of a level, or of another photo.

Noise is made by the command `invdn noise` in a process of its own: that needs PyTorch, whose
loading would stop the window for seconds, and whose memory is given back this way.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from PySide6.QtCore import QEvent, QProcess, QSettings, Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QRadioButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from invdn import batch, images, preview
from invdn.gui.compare import CompareView
from invdn.gui.controls import heed_wheel_in_use_only
from invdn.gui.flow import FlowLayout
from invdn.gui.language import translated_reason
from invdn.gui.names import shortened, show_on_button
from invdn.gui.photos import PhotoList
from invdn.gui.tasks import Lane, Token
from invdn.gui.theme import named
from invdn.process import python
from invdn.runtime import NOISE_MODEL


def _patterns(suffixes: Iterable[str]) -> str:
    """For file dialogs, some of which take "IMG.JPG" for something else than "*.jpg"."""
    return " ".join(f"*{suffix} *{suffix.upper()}" for suffix in sorted(suffixes))


PICTURES = _patterns({*images.SUFFIXES, *images.RAW_SUFFIXES})
"""What dialogs for photos to be opened show."""
RESULTS = _patterns(images.SUFFIXES)
"""What those for results to be saved show."""


class NoisyPicture(NamedTuple):
    """A noisy picture that is made and not saved."""

    source: Path
    """The clean picture."""
    file: Path


class NoiseTab(QWidget):
    """Makes a noisy version of the photo that is open."""

    said = Signal(str)
    """A sentence for the log."""
    busy_changed = Signal()
    """Making noise has begun or ended."""
    _checked = Signal(object, object)
    _unfit = Signal(object, object, str)
    _made = Signal(object, object)
    _could_not = Signal(object, str)
    _unsaved = Signal(object, str)

    def __init__(
        self, settings: QSettings, photos: PhotoList, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._photos = photos
        self._path: Path | None = None
        self._like: Path | None = None
        self._result: NoisyPicture | None = None
        self._folder: Path | None = None  # of what is made and not saved
        self._number = 0
        self._process: QProcess | None = None
        self.lane = Lane("noise tab", self)
        self._make_controls()
        self._lay_out()
        self._connect()
        self.retranslate()
        self._enable()

    @staticmethod
    def command() -> list[str]:
        """The program that makes noise, and its first arguments."""
        return [*python("from invdn.cli import main; main()"), "noise"]

    @staticmethod
    def available() -> bool:
        """Whether what it needs is installed."""
        return find_spec("torch") is not None

    @property
    def model(self) -> Path | None:
        """The noise model that the user has chosen, or the shipped one; None if it is missing."""
        path = Path(self._chosen_model) if self._chosen_model else NOISE_MODEL
        return path if path.is_file() else None

    def set_model(self, path: Path | None) -> None:
        """Make noise with this model from now on; None for the shipped one."""
        self._settings.setValue("noise/model", "" if path is None else str(path))
        self._show_model()
        self._enable()

    @property
    def _chosen_model(self) -> str:
        """Empty for the shipped one."""
        return str(self._settings.value("noise/model", ""))

    def _show_model(self) -> None:
        chosen = self._chosen_model
        self._shipped_action.setText(self.tr("The one that comes with it"))
        self._other_action.setText(self.tr("Other file…"))
        self._shipped_action.setEnabled(bool(chosen))
        if chosen:
            show_on_button(self.model_button, Path(chosen).name, chosen)
        else:
            show_on_button(
                self.model_button, self.tr("Model"), self.tr("The one that comes with it")
            )

    @property
    def busy(self) -> bool:
        """Whether noise is being made."""
        return self._process is not None

    def set_photo(self, path: Path | None) -> None:
        """The clean picture."""
        self._path = path
        self._enable()

    def set_like(self, path: Path) -> None:
        """The photo whose noise is wanted."""
        self._like = path
        self.like_radio.setChecked(True)
        show_on_button(self.like_button, path.name, str(path))
        self._enable()

    def stop(self) -> None:
        """Make no noise any more."""
        process = self._process
        if process is not None:
            process.finished.disconnect()
            process.errorOccurred.disconnect()
            process.kill()
            process.waitForFinished(1000)
            self._set_process(None)
            process.deleteLater()

    def _set_process(self, process: QProcess | None) -> None:
        self._process = process
        self._enable()
        self.busy_changed.emit()

    def close_down(self) -> None:
        """Stop everything; `join` waits for it."""
        self.stop()
        self.lane.close()

    def join(self, seconds: float) -> None:
        """Wait for the thread to end, for so long at most; remove what was made and not saved."""
        self.lane.join(seconds)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # --- building --------------------------------------------------------------------------------

    def _make_controls(self) -> None:
        self.compare = CompareView()
        self.level_radio, self.like_radio = QRadioButton(), QRadioButton()
        either = QButtonGroup(self)  # they are not side by side in one widget
        either.addButton(self.level_radio)
        either.addButton(self.like_radio)
        self.level_radio.setChecked(True)
        self.level_box = QDoubleSpinBox()
        self.level_box.setRange(0.0, 100.0)
        self.level_box.setDecimals(1)
        self.level_box.setValue(12.0)
        self.like_button = QPushButton()
        self.model_button = QPushButton()
        menu = QMenu(self.model_button)
        self._shipped_action, self._other_action = menu.addAction(""), menu.addAction("")
        self.model_button.setMenu(menu)
        self.seed_label = QLabel()
        self.seed_box = QSpinBox()
        self.seed_box.setRange(0, 999_999)
        self.seed_box.setMaximumWidth(96)
        self.seed_label.setBuddy(self.seed_box)
        heed_wheel_in_use_only(self.level_box, self.seed_box)
        self.make_button = named(QPushButton(), "primary")
        self.save_button = QPushButton()
        self.hint = named(QLabel(), "hint")
        self.hint.setWordWrap(True)
        self.hint.setTextFormat(Qt.TextFormat.PlainText)

    def _lay_out(self) -> None:
        row = FlowLayout()
        row.add_group(self.level_radio, self.level_box)
        row.add_group(self.like_radio, self.like_button)
        row.add_group(self.seed_label, self.seed_box)
        row.add_group(self.model_button)
        for radio in (self.level_radio, self.like_radio):
            radio.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
        below = QHBoxLayout()
        below.addWidget(self.hint, 1)
        below.addWidget(self.make_button)
        below.addWidget(self.save_button)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addLayout(below)
        layout.addWidget(self.compare, 1)

    def _connect(self) -> None:
        self.make_button.clicked.connect(self.make)
        self.save_button.clicked.connect(self._save)
        self.like_button.clicked.connect(self._choose_like)
        self._shipped_action.triggered.connect(lambda: self.set_model(None))
        self._other_action.triggered.connect(self._choose_model)
        self.level_radio.toggled.connect(self._enable)
        self._checked.connect(self._on_checked)
        self._unfit.connect(self._on_unfit)
        self._made.connect(self._on_made)
        self._could_not.connect(self._on_failed)
        self._unsaved.connect(self._on_unsaved)

    def _enable(self) -> None:
        model = self.model
        ready = self.available() and model is not None
        ready = ready and self._path is not None and not self.busy
        ready = ready and (self.level_radio.isChecked() or self._like is not None)
        self.make_button.setEnabled(ready)
        self.save_button.setEnabled(self._result is not None and not self.busy)
        self.level_box.setEnabled(self.level_radio.isChecked())
        if not self.available():
            text = self.tr("Adding noise needs PyTorch: pip install 'invdn[train]'")
        elif self.busy:
            text = self.tr("Making noise…")
        elif model is None:
            text = self.tr(
                "The noise model is missing: train one (invdn train configs/noise.toml), and choose"
                " its weights."
            )
        elif self._path is None:
            text = self.tr("Choose a clean photo in the list first.")
        else:
            text = self.tr("Adds noise like a camera's to {0}, to test or train with.").format(
                shortened(self._path.name, self.hint, 300)
            )
        self.hint.setText(text)

    def _choose_like(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self,
            self.tr("Choose a noisy photo"),
            "",
            self.tr("Photos ({0})").format(PICTURES),
            "",
            QFileDialog.Option.HideNameFilterDetails,
        )
        if chosen:
            self.set_like(Path(chosen))

    def _choose_model(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self, self.tr("Choose a noise model"), "", self.tr("Noise models (*.safetensors)")
        )
        if chosen:
            self.set_model(Path(chosen))

    # --- making ----------------------------------------------------------------------------------

    def make(self) -> None:
        """Start the command, once it is known that its result can be shown."""
        model, source = self.model, self._path
        if source is None or model is None or self.busy:
            self._enable()
            return
        try:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="invdn-noise-"))
        except OSError as error:
            self._on_failed(source, batch.reason_of(error))
            return
        self._number += 1
        made = NoisyPicture(source, self._folder / f"{self._number}.png")
        arguments = [*self.command(), str(source), "-o", str(made.file)]
        if self.level_radio.isChecked():
            arguments += ["--level", f"{self.level_box.value():g}"]
        else:
            arguments += ["--like", str(self._like)]
        arguments += ["--seed", str(self.seed_box.value()), "--model", str(model)]
        process = QProcess(self)
        process.finished.connect(partial(self._on_finished, process, made))
        process.errorOccurred.connect(partial(self._on_process_error, process, source))
        self._set_process(process)

        def work(token: Token) -> None:
            try:
                preview.check(source)
            except Exception as error:  # whatever it is: the tab is busy until it hears of it
                self._unfit.emit(process, source, self._reason_of(error))
                return
            self._checked.emit(process, arguments)

        self.lane.add(work)

    def _on_checked(self, process: QProcess, arguments: Sequence[str]) -> None:
        if process is self._process:  # otherwise it was stopped meanwhile
            process.start(arguments[0], arguments[1:])

    def _on_unfit(self, process: QProcess, source: Path, reason: str) -> None:
        if process is self._process:
            self._set_process(None)
            process.deleteLater()
            self._on_failed(source, reason)

    def _reason_of(self, error: Exception) -> str:
        if isinstance(error, preview.TooLargeError):
            return self.tr("it is too large for the window: use the command 'invdn noise'")
        return batch.reason_of(error)

    def _on_process_error(
        self, process: QProcess, source: Path, error: QProcess.ProcessError
    ) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._set_process(None)
            process.deleteLater()
            self._on_failed(source, self.tr("the command could not be started"))

    def _on_finished(
        self, process: QProcess, made: NoisyPicture, code: int, status: QProcess.ExitStatus
    ) -> None:
        said = bytes(process.readAllStandardError().data()).decode("utf-8", "replace")
        self._set_process(None)
        process.deleteLater()
        lines = [line.strip() for line in said.splitlines() if line.strip(" │╭╮╰╯─")]
        if status == QProcess.ExitStatus.CrashExit or (code != 0 and not lines):
            self._on_failed(made.source, self.tr("the command ended before it was done"))
            return
        if code != 0:
            said = lines[-1].removeprefix("invdn: ").removeprefix(f"{made.source}: ")
            self._on_failed(made.source, said)
            return

        def work(token: Token) -> None:
            try:
                clean, noisy = preview.read(made.source), preview.read(made.file)
                view = preview.View(clean)
                token.check()
                # The result is a PNG, which is stored upright.
                stored = preview.to_screen(noisy.pixels, noisy.fields)
                view.after.put(preview.Box(0, 0, view.after.height, view.after.width), stored)
            except (images.PhotoError, OSError, MemoryError, ValueError) as error:
                self._could_not.emit(made.source, self._reason_of(error))
                return
            self._made.emit(view, made)

        self.lane.add(work)

    def _on_made(self, view: preview.View, made: NoisyPicture) -> None:
        former, self._result = self._result, made
        if former is not None:  # after all that was asked for before, saving it too
            self.lane.add(lambda token: former.file.unlink(missing_ok=True))
        self.compare.set_view(view)
        self._say_titles()
        self.said.emit(self.tr("{0}: a noisy version is made").format(made.source.name))
        self._enable()

    def _on_failed(self, source: Path, reason: str) -> None:
        self.said.emit(
            self.tr("{0}: no noise was made: {1}").format(source.name, translated_reason(reason))
        )
        self._enable()

    def _on_unsaved(self, target: Path, reason: str) -> None:
        said = self.tr("{0} was not saved: {1}")
        self.said.emit(said.format(target, translated_reason(reason)))

    def _save(self) -> None:
        if self._result is None:
            return
        source = self._result.source
        proposal = source.with_name(f"{source.stem}-noisy.png")
        chosen, _ = QFileDialog.getSaveFileName(
            self, self.tr("Save the noisy picture"), str(proposal), "PNG (*.png)"
        )
        if chosen:
            self.save(Path(chosen))

    def save(self, target: Path) -> None:
        """Copy the result there, as a PNG file; never over a photo of the list, nor over one that
        noise is made from.

        A file of that name is replaced: the user was asked. One that has the name only once its
        suffix is appended is not.
        """
        made = self._result
        if made is None:
            return
        originals = [*self._photos.paths, *([self._like] if self._like is not None else [])]
        as_chosen = target.suffix.lower() == ".png"
        if not as_chosen:
            target = target.with_name(target.name + ".png")

        def work(token: Token) -> None:
            try:
                # Refuses what would replace an original.
                batch.plan([made.source], target, spare=originals)
                with (
                    images.atomically(target, overwrite=as_chosen) as file,
                    made.file.open("rb") as picture,
                ):
                    shutil.copyfileobj(picture, file)
            except images.InWorkError:
                self._unsaved.emit(target, images.IN_WORK)
                return
            except batch.UsageError as error:
                self._unsaved.emit(target, str(error))
                return
            except OSError as error:  # whose file is one of ours, which nobody has to know of
                self._unsaved.emit(target, images.reason(error))
                return
            self.said.emit(self.tr("saved: {0}").format(target))

        self.lane.add(work)

    # --- words -----------------------------------------------------------------------------------

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)

    def retranslate(self) -> None:
        self.level_radio.setText(self.tr("&Level"))
        self.level_box.setAccessibleName(self.tr("Noise level, in grey levels of 255"))
        self.level_box.setToolTip(self.tr("Noise level, in grey levels of 255"))
        self.like_radio.setText(self.tr("Like anothe&r photo"))
        if self._like is None:
            self.like_button.setText(self.tr("Choose…"))
        self.like_button.setAccessibleName(self.tr("Choose a noisy photo"))
        self.seed_label.setText(self.tr("See&d"))
        self.seed_box.setToolTip(self.tr("Another seed makes other noise of the same kind."))
        self.make_button.setText(self.tr("&Make noisy"))
        self.model_button.setAccessibleName(self.tr("Noise model"))
        self._show_model()
        self.save_button.setText(self.tr("Save nois&y…"))
        self._say_titles()
        self.compare.set_placeholder(self.tr("The noisy version will be shown here."))
        self.compare.setAccessibleName(self.tr("Clean and noisy picture"))
        self._enable()

    def _say_titles(self) -> None:
        """With the picture's name: it stays until the next is made, whatever photo is open."""
        name = shortened(self._result.source.name, self.compare, 200) if self._result else ""
        self.compare.set_titles(
            self.tr("Clean: {0}").format(name), self.tr("Noisy: {0}").format(name), ""
        )
