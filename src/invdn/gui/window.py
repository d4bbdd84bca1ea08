"""The main window: puts the parts together, and lets each do what it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from PySide6.QtCore import QByteArray, QEvent, QSettings, QSize, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QDesktopServices,
    QDragEnterEvent,
    QDropEvent,
    QKeyEvent,
)
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from invdn import batch, images, manifest
from invdn.batch import Job, Plan, Result
from invdn.denoiser import Denoiser, load_denoiser
from invdn.gui import language, theme
from invdn.gui.actions import Actions, Menus
from invdn.gui.help import show_about, show_keys
from invdn.gui.language import translated_reason
from invdn.gui.log import LogPane
from invdn.gui.names import megapixels
from invdn.gui.noise_tab import PICTURES, RESULTS, NoiseTab
from invdn.gui.options import OptionsPanel, SaveOptions
from invdn.gui.photo_tab import PhotoTab
from invdn.gui.photos import Entry, PhotoList, PhotoListView, PlacedResult
from invdn.gui.progress import BatchProgress
from invdn.gui.runner import Runner
from invdn.gui.session import Session
from invdn.gui.tasks import Lane, Token
from invdn.gui.theme import named
from invdn.gui.ways import AlreadyDone, Way, in_own_process, in_this_process
from invdn.restore import Settings, tones_of
from invdn.runtime import ModelError, shipped_models

MOST_NAMED = 3
"""Of things of one kind, in a line of the log."""
OPTIONS_PX = 250
SECONDS_TO_STOP = 20.0
"""How long a window that is being closed waits for its batch, which may hang for ever where a
network drive is gone."""


def _existing(folder: Path) -> Path:
    """A folder, or the nearest above it that is there: dialogs take no others."""
    while not batch.is_folder(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


class _ResultSettings(NamedTuple):
    """All that a result depends on besides its photo."""

    model: str
    strength: float
    saving: SaveOptions

    def on(self, photo: Path) -> _ResultSettings:
        """The same where the photo's own format is asked for by name or as such."""
        formats = images.SUFFIXES
        own = formats.get(photo.suffix.lower())
        if self.saving.format is None or formats[f".{self.saving.format}"] != own:
            return self
        return self._replace(saving=replace(self.saving, format=None))


class MainWindow(QMainWindow):
    """The window.

    load: makes a denoiser from a model's name; it is called in a thread.
    way: how a batch is done, given the name of the model and the denoiser.
    """

    _loaded = Signal(object, object)
    _found = Signal(object, object, int)
    _search_ended = Signal(object)
    _load_failed = Signal(object, str)

    def __init__(
        self,
        settings: QSettings,
        load: Callable[[str], Denoiser] = load_denoiser,
        way: Callable[[str, Denoiser], Way] = in_own_process,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._load, self._way = load, way
        self._denoiser: Denoiser | None = None
        self._loading: Token | None = None  # of the model that was chosen last
        self._searches: set[Token] = set()  # for photos, under way
        self._wants_start = False  # Start was pressed before the model was there
        self._closing = False  # without asking once more
        self._waits_to_close = False  # for the batch, which was told to stop
        self._question: QMessageBox | None = None
        # As `_result_settings` were when it began; None where one photo is saved under a name of
        # its own, which is nothing that Start would have done.
        self._batch_settings: _ResultSettings | None = None
        # A control that had the focus and cannot be used at the moment, and the one that has it.
        self._focus_lent: tuple[QWidget | None, QWidget | None] = None, None
        self.setAcceptDrops(True)
        self.photos = PhotoList(self)
        self.session = Session(self)
        self.runner = Runner(self)
        self._finder = Lane("find", self)
        self._model_lane = Lane("model", self)
        self.all_actions = Actions(settings, self)
        self.menus = Menus(self.menuBar(), self.all_actions, settings)
        self._make_widgets()
        self._lay_out()
        self._connect()
        self._connect_actions()
        self.retranslate()
        self._restore_layout()
        self._enable()
        self._load_model(self.options.model)

    # --- building --------------------------------------------------------------------------------

    def _make_widgets(self) -> None:
        try:
            models = sorted(shipped_models(), key=lambda name: (name != "photo", name))
        except ModelError:
            models = []  # loading one says what is wrong
        acts = self.all_actions
        self.list_view = PhotoListView(self.photos)
        self.list_view.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self.list_view.addActions([acts.save, acts.reveal, acts.remove])
        self.photo_tab = PhotoTab(self._settings, self.session, acts)
        self.options = OptionsPanel(self._settings, models or ["photo"])
        self.noise_tab = NoiseTab(self._settings, self.photos)
        self.log = LogPane()
        self.choose_button = QPushButton()
        self.start_button = named(QPushButton(), "primary")
        self.pause_button, self.cancel_button = QPushButton(), QPushButton()
        self.save_button, self.quit_button = QPushButton(), QPushButton()
        self.progress = BatchProgress(lambda: self.runner.paused)

    def _lay_out(self) -> None:
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.photo_tab, "")
        self.tabs.addTab(self.noise_tab, "")
        self.tabs.setCornerWidget(self.photo_tab.corner)
        self.middle = QSplitter(Qt.Orientation.Vertical)
        self.middle.addWidget(self.tabs)
        self.middle.addWidget(self.log)
        self.middle.setStretchFactor(0, 1)
        self.middle.setSizes([560, 110])
        self.middle.setCollapsible(0, False)
        self.options_column = QScrollArea()
        self.options_column.setWidget(self.options)
        self.options_column.setWidgetResizable(True)
        self.options_column.setFrameShape(QFrame.Shape.NoFrame)
        self.options_column.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # what is in it has
        self.options_column.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.columns = QSplitter(Qt.Orientation.Horizontal)
        self.columns.addWidget(self.list_view)
        self.columns.addWidget(self.middle)
        self.columns.addWidget(self.options_column)
        self.columns.setStretchFactor(1, 1)
        self.columns.setSizes([210, 820, OPTIONS_PX])
        self.columns.setCollapsible(1, False)
        self.columns.setCollapsible(2, False)
        for splitter in (self.columns, self.middle):
            splitter.setHandleWidth(8)
        centre = QWidget()
        layout = QVBoxLayout(centre)
        layout.addWidget(self.columns, 1)
        layout.addLayout(self._button_row())
        self.setCentralWidget(centre)
        self.setMinimumHeight(480)  # the layout knows how wide it must be
        frame = QSize(16, 48)
        self.resize(QSize(1280, 800).boundedTo(self.screen().availableSize() - frame))

    def _button_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(self.choose_button)
        row.addWidget(self.start_button)
        row.addWidget(self.pause_button)
        row.addWidget(self.cancel_button)
        row.addSpacing(8)
        row.addWidget(self.progress, 1)
        row.addSpacing(8)
        row.addWidget(self.save_button)
        row.addWidget(self.quit_button)
        return row

    def _connect(self) -> None:
        self.list_view.selectionModel().currentChanged.connect(self._on_current)
        self.list_view.selectionModel().selectionChanged.connect(self._enable)
        self.list_view.remove_wanted.connect(self.remove_selected)
        self.photos.rowsInserted.connect(self._enable)
        self.photos.rowsRemoved.connect(self._enable)
        self._found.connect(self._on_found)
        self._search_ended.connect(self._on_search_ended)
        self.session.opened.connect(self._enable)
        self.session.completed.connect(self._enable)
        self.photo_tab.said.connect(self.log.say)
        self.options.strength_changed.connect(self._on_strength)
        self.options.model_changed.connect(self._on_model)
        self.options.saving_changed.connect(self._judge_results)
        self.runner.started.connect(self._on_batch_started)
        self.runner.progressed.connect(self._on_batch_progress)
        self.runner.photo_done.connect(self._on_photo_done)
        self.runner.finished.connect(self._on_batch_finished)
        self.runner.failed.connect(self._on_refused)
        self.tabs.currentChanged.connect(self._on_tab)
        self._loaded.connect(self._on_denoiser)
        self._load_failed.connect(self._on_load_failed)
        self.noise_tab.said.connect(self.log.say)
        self.noise_tab.busy_changed.connect(self._on_noise_busy)
        for lane in (self._finder, self._model_lane, self.photos.lane, self.noise_tab.lane):
            lane.failed.connect(self._on_unexpected)
        self.choose_button.clicked.connect(self.choose_files)
        self.photo_tab.invitation_button.clicked.connect(self.choose_files)
        self.start_button.clicked.connect(self.start)
        self.pause_button.clicked.connect(self.pause_or_resume)
        self.cancel_button.clicked.connect(self.cancel)
        self.save_button.clicked.connect(self.save_result)
        self.quit_button.clicked.connect(self.close)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.timeout.connect(self.close)
        self.session.set_strength(self.options.strength)

    def _connect_actions(self) -> None:
        acts = self.all_actions
        acts.choose.triggered.connect(self.choose_files)
        acts.choose_folder.triggered.connect(self.choose_folder)
        self.menus.recent.chosen.connect(lambda path: self.add_photos([path]))
        acts.save.triggered.connect(self.save_result)
        acts.reveal.triggered.connect(self.reveal_result)
        acts.remove.triggered.connect(self.remove_selected)
        acts.clear.triggered.connect(self.clear_list)
        acts.quit.triggered.connect(self.close)
        acts.previous.triggered.connect(lambda: self._step_photo(-1))
        acts.next.triggered.connect(lambda: self._step_photo(1))
        acts.start.triggered.connect(self.start)
        acts.pause.triggered.connect(self.pause_or_resume)
        acts.cancel.triggered.connect(self.cancel)
        acts.stronger.triggered.connect(lambda: self.options.add_strength(5))
        acts.weaker.triggered.connect(lambda: self.options.add_strength(-5))
        for name, action in acts.languages.items():
            action.triggered.connect(lambda _=False, name=name: self.set_language(name))
        for name, action in acts.themes.items():
            action.triggered.connect(lambda _=False, name=name: self.set_theme(name))
        acts.help.triggered.connect(lambda: show_keys(self))
        acts.about.triggered.connect(lambda: show_about(self))
        for action, button in (
            (acts.start, self.start_button),
            (acts.pause, self.pause_button),
            (acts.cancel, self.cancel_button),
            (acts.save, self.save_button),
        ):
            action.enabledChanged.connect(button.setEnabled)

    def _restore_layout(self) -> None:
        for name, restore in (
            ("window/geometry", self.restoreGeometry),
            ("window/columns", self.columns.restoreState),
            ("window/middle", self.middle.restoreState),
        ):
            stored = self._settings.value(name)
            if isinstance(stored, QByteArray):  # anybody may have edited the file
                restore(stored)

    # --- photos in and out of the list -----------------------------------------------------------

    def add_photos(self, paths: Sequence[Path]) -> None:
        """Put files, and the photos in folders, into the list. They are looked for in a thread."""
        inputs = tuple(paths)
        self.menus.recent.remember(inputs)
        is_result = self._results_elsewhere(inputs)

        def work(token: Token) -> None:
            results = 0

            def is_known_result(file: Path) -> bool:
                nonlocal results
                found = is_result(file)
                results += found
                return found

            try:
                plan = batch.find(
                    [path.absolute() for path in inputs],
                    is_known_result=is_known_result,
                    check=token.check,
                )
                photos = {batch.identity(job.input): job.input for job in plan.jobs}
            finally:
                self._search_ended.emit(token)
            token.check()
            self._found.emit(plan, photos, results)

        self._searches.add(self._finder.add(work))
        self._enable()

    def _results_elsewhere(self, inputs: Sequence[Path]) -> Callable[[Path], bool]:
        """Tells results of this list, and what lies where results go, from photos to be done.

        Not where just that folder, or something in it, is put into the list. Files are asked for
        by their `batch.identity`.
        """
        made = {batch.identity(e.output) for e in self.photos.entries if e.output is not None}
        saving = self.options.saving
        folder = batch.identity(saving.folder) if saving.where == "folder" else None
        given = {batch.identity(path) for path in inputs}
        if folder is None or any(folder in (path, *path.parents) for path in given):
            return made.__contains__
        return lambda file: file in made or folder in file.parents

    def choose_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(
            self,
            self.tr("Choose photos"),
            str(self._settings.value("folder", "")),
            self.tr("Photos ({0})").format(PICTURES) + ";;" + self.tr("All files (*)"),
            "",
            QFileDialog.Option.HideNameFilterDetails,
        )
        if chosen:
            self._settings.setValue("folder", str(Path(chosen[0]).parent))
            self.add_photos([Path(name) for name in chosen])

    def choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(
            self, self.tr("Choose a folder of photos"), str(self._settings.value("folder", ""))
        )
        if chosen:
            self._settings.setValue("folder", chosen)
            self.add_photos([Path(chosen)])

    def remove_selected(self) -> None:
        self._remove(self.list_view.selected_rows())

    def clear_list(self) -> None:
        self._remove(range(len(self.photos)))

    def _remove(self, rows: Iterable[int]) -> None:
        """Take photos out of the list, and out of the batch; not the one that is in work."""
        removed = []
        for row in rows:
            entry = self.photos[row]
            if not self._leave_out(entry):
                said = self.tr("{0} is being worked on: cancel that to remove it")
                self.log.say(said.format(entry.path.name))
                continue
            removed.append(row)
        self.photos.remove(removed)
        left = len(self.photos)
        if removed and left and not self.list_view.selected_rows():
            self.list_view.go_to(min(min(removed), left - 1))

    def _leave_out(self, entry: Entry) -> bool:
        """See to it that a batch does not do a photo any more; False if it is at it."""
        if not self.runner.busy:
            return True
        if not self.runner.leave_out(entry.path):
            return False
        self.progress.leave_out(entry.path)
        return True

    def reveal_result(self) -> None:
        """Open the folder in which the result of the current photo lies, or the photo."""
        entry = self._current_entry()
        if entry is not None:
            folder = (entry.output or entry.path).parent
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        names = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if names:
            event.acceptProposedAction()
            self.add_photos([Path(name) for name in names])

    def _on_found(self, plan: Plan, photos: Mapping[Path, Path], results: int) -> None:
        added = self.photos.add(photos)
        if results:
            self.log.say(self.tr("%n left out, for lying where results go", "", results))
        for folder, reason in plan.unreadable:
            self.log.say(f"{folder}: {translated_reason(reason)}")
        if plan.left_out:
            counted = ", ".join(f"{n} {suffix}" for suffix, n in sorted(plan.left_out.items()))
            self.log.say(self.tr("left out, because these cannot be read: {0}").format(counted))
        for hint in plan.hints:
            self.log.say(translated_reason(hint))
        if plan.links:
            names = [*map(str, plan.links[:MOST_NAMED]), *["…"][: len(plan.links) > MOST_NAMED]]
            said = self.tr("left out, because links to folders are not followed: {0}")
            self.log.say(said.format(self.tr(", ").join(names)))
        if added:
            self.log.say(self.tr("%n photo(s) added", "", added))
        elif plan.jobs:
            self.log.say(self.tr("these photos are in the list already"))
        else:
            self.log.say(self.tr("no photos found"))
        if added and not self.list_view.currentIndex().isValid():
            self.list_view.go_to(0)

    def _on_search_ended(self, token: Token) -> None:
        self._searches.discard(token)
        self._enable()

    def _current_entry(self) -> Any:
        index = self.list_view.currentIndex()
        return self.photos[index.row()] if index.isValid() else None

    def _step_photo(self, step: int) -> None:
        row = self.list_view.currentIndex().row() + step
        if 0 <= row < len(self.photos):
            self.list_view.go_to(row)

    # --- the photo that is looked at -------------------------------------------------------------

    def _on_current(self) -> None:
        entry = self._current_entry()
        path = entry.path if entry else None
        self.photo_tab.open(path)
        self.noise_tab.set_photo(path)
        self._enable()

    def _on_tab(self, number: int) -> None:
        # What is set and said there is about removing noise.
        self.options_column.setVisible(number == 0)
        self.photo_tab.corner.setVisible(number == 0)
        self._enable()

    # --- model and settings ----------------------------------------------------------------------

    def _load_model(self, name: str) -> None:
        def work(token: Token) -> None:
            try:
                denoiser = self._load(name)
            except Exception as error:
                token.check()
                self._load_failed.emit(token, batch.reason_of(error))
                return
            token.check()
            self._loaded.emit(token, denoiser)

        self._denoiser = None
        self.session.set_denoiser(None)
        self.photo_tab.set_no_model(False)
        self._loading = self._model_lane.replace(work)

    def _on_denoiser(self, token: Token, denoiser: Denoiser) -> None:
        if token is not self._loading:  # it was said before another was chosen
            return
        self._denoiser = denoiser
        self.options.remember_model()
        self.options.set_strength_known(denoiser.info.latent_channels == 0)
        self.session.set_denoiser(denoiser)
        info = denoiser.info
        self.log.say(
            self.tr("model {0} {1} on {2}, %n thread(s)", "", info.threads).format(
                info.name, info.version, info.device
            )
        )
        self._enable()
        if self._wants_start:
            self._wants_start = False
            self.start()

    def _on_load_failed(self, token: Token, reason: str) -> None:
        if token is not self._loading:
            return
        self._wants_start = False
        self.log.say(translated_reason(reason))
        self.photo_tab.set_no_model(True)
        self._enable()

    def _on_model(self, name: str) -> None:
        self._judge_results()
        self._load_model(name)

    def _on_strength(self, strength: float) -> None:
        self.session.set_strength(strength)
        self._judge_results()

    @property
    def _result_settings(self) -> _ResultSettings:
        return _ResultSettings(self.options.model, self.options.strength, self.options.saving)

    def _judge_results(self) -> None:
        """A photo is done where its last result was made with the settings of now."""
        if self.runner.busy:
            return
        settings = self._result_settings
        for entry in self.photos.entries:
            if entry.made is not None and entry.made.settings == settings.on(entry.path):
                if entry.state != "done":
                    self.photos.update(entry.path, state="done")
            elif entry.state == "done":
                self.photos.update(entry.path, state="waiting", fraction=0.0)

    def _look_for_results(self) -> None:
        """A photo is not done any more where its result is gone, or it has been edited since."""
        for entry in self.photos.entries:
            if entry.state == "done" and entry.made and not entry.made.holds(entry.path):
                self.photos.update(entry.path, state="waiting", fraction=0.0, made=None)

    def set_language(self, name: str) -> None:
        """Speak another language, now and from now on."""
        self._settings.setValue("language", name)
        language.apply(name)

    def set_theme(self, name: str) -> None:
        """Look different, now and from now on."""
        self._settings.setValue("theme", name)
        theme.apply(name)

    # --- the batch -------------------------------------------------------------------------------

    def start(self) -> None:
        """Restore and save all photos of the list that are not done."""
        if self.runner.busy:
            return
        if not self.photos.entries:
            self.log.say(self.tr("nothing to do: the list is empty"))
            return
        self._look_for_results()
        waiting = [entry.path for entry in self.photos.entries if entry.state != "done"]
        if not waiting:
            self.log.say(self.tr("nothing to do: all photos are done"))
            return
        if self._denoiser is None:
            if self._model_lane.busy:
                self._wants_start = True
            else:
                self.log.say(self.tr("no model is loaded: choose one"))
            return
        saving = self.options.saving
        folder = None if saving.where == "beside" else saving.folder
        if saving.where == "ask":
            chosen = QFileDialog.getExistingDirectory(
                self, self.tr("Choose a folder for the results"), str(saving.folder)
            )
            if not chosen:
                return
            folder = Path(chosen)
        self._run(
            lambda: batch.place(waiting, folder, format=saving.format, number=saving.number),
            self._way(self.options.model, self._denoiser),
        )

    def save_result(self) -> None:
        """Ask for a name, and save the current photo's result there."""
        entry = self._current_entry()
        if entry is None or self.runner.busy or self._denoiser is None:
            return
        saving = self.options.saving
        folder = _existing(saving.folder) if saving.where == "folder" else None
        (proposal,) = batch.place([entry.path], folder, format=saving.format)
        originals = {entry.identity for entry in self.photos.entries}
        chosen = str(proposal.output)
        while True:
            chosen, _ = QFileDialog.getSaveFileName(
                self,
                self.tr("Save the result"),
                chosen,
                self.tr("Photos ({0})").format(RESULTS),
                "",
                QFileDialog.Option.HideNameFilterDetails,
            )
            if not chosen:
                return
            if batch.identity(Path(chosen)) not in originals:
                break
            said = self.tr("An original is never replaced: choose another name.")
            QMessageBox.warning(self, self.tr("Save the result"), said)
            chosen = str(proposal.output)
        self.save_as(Path(chosen))

    def save_as(self, target: Path) -> None:
        """Save the current photo's result under a name that the user has chosen.

        A file that is there is replaced: the user was asked. No photo of the list ever is, nor a
        file that has the name only once its suffix is appended.
        """
        entry, denoiser = self._current_entry(), self._denoiser
        if entry is None or denoiser is None:
            return
        as_chosen = target.suffix.lower() in images.SUFFIXES.keys() | images.RAW_SUFFIXES
        if not as_chosen:
            (usual,) = batch.place([entry.path], None, format=self.options.saving.format)
            target = target.with_name(target.name + usual.output.suffix)
        source, session, version = entry.path, self.session, self.session.version
        way = self._way(self.options.model, denoiser)
        view, result = session.view, session.result
        # What goes through a profile is not compared here, but restored anew.
        if view is not None and result is not None and tones_of(view.photo) is None:
            way = in_this_process(AlreadyDone(view.photo.pixels, result, denoiser))

        originals = self.photos.paths

        def jobs() -> tuple[Job, ...]:
            # Refuses what would replace an original.
            batch.plan([source], target, spare=originals)
            # What is saved is what was seen, or nothing.
            if version is not None and manifest.version_of(source) not in (version, None):
                raise batch.UsageError(f"{source.name} has changed since it was opened")
            return (Job(source, target),)

        self._run(jobs, way, overwrite=as_chosen)
        self._batch_settings = None

    def pause_or_resume(self) -> None:
        if self.runner.paused:
            self.runner.resume()
            self.progress.resume()
            self.log.say(self.tr("going on"))
        elif self.runner.busy:
            self.runner.pause()
            self.progress.pause()
            self.log.say(self.tr("paused"))
        self._enable()

    def cancel(self) -> None:
        """Stop the batch; what is saved stays, what is in work leaves nothing.

        Or making noise, where that is what is looked at. The search for photos too, which in a
        large folder takes long.
        """
        if self._cancels_noise:
            self.noise_tab.stop()
            self.log.say(self.tr("making noise was cancelled"))
        elif self.runner.busy:
            self._cancel_batch()
        if self._searches:
            self._finder.clear()
            self._searches.clear()
            self.log.say(self.tr("the search for photos was cancelled"))
            self._enable()

    @property
    def _cancels_noise(self) -> bool:
        on_its_tab = self.tabs.currentWidget() is self.noise_tab
        return self.noise_tab.busy and (on_its_tab or not self.runner.busy)

    def _cancel_batch(self) -> None:
        self.runner.cancel()
        self.progress.cancel()
        self._enable()

    def _run(
        self,
        jobs: Callable[[], Sequence[Job]],
        way: Way,
        *,
        overwrite: bool = False,
    ) -> None:
        saving = self.options.saving
        self.session.set_whole_allowed(False)
        if self.session.result is None:
            self.photo_tab.clear_state()  # only what is visible is restored from now on
        self._batch_settings = self._result_settings
        self.progress.begin()
        self.runner.start(
            jobs,
            way,
            Settings(
                strength=self.options.strength,
                quality=saving.quality,
                metadata=saving.metadata,
                overwrite=overwrite,
            ),
        )
        self._enable()

    def _on_batch_started(self, jobs: Sequence[Job]) -> None:
        sizes = {}
        for job in jobs:
            row = self.photos.row_of(job.input)
            if row is not None:  # as for those that were removed since Start was pressed
                sizes[job.input] = self.photos[row].megapixels
                self.photos.update(job.input, state="waiting", reason="", fraction=0.0)
        self.progress.started(sizes)
        self.log.say(self.tr("%n photo(s) to do", "", len(sizes)))

    def _on_batch_progress(self, job: Job, fraction: float) -> None:
        self.photos.update(job.input, state="working", fraction=fraction)
        self.progress.at(job.input, fraction)

    def _on_photo_done(self, result: Result) -> None:
        self.photos.update(result.input, state=result.status, reason=result.reason or "")
        if result.status == "done":
            self.photos.update(result.input, output=result.output)
            if self._batch_settings is not None:
                version = manifest.version_of(result.input)
                settings = self._batch_settings.on(result.input)
                made = PlacedResult(result.output, settings, version)
                self.photos.update(result.input, made=made)
        self.progress.done(result)
        name = self.photos.shown_name(result.input)
        for notice in result.notices:
            self.log.say(f"{name}: {translated_reason(notice)}")
        if result.status == "done":
            size, seconds = megapixels(result.megapixels), f"{result.seconds:.1f}"
            said = self.tr("{0}: {1} MP in {2} s, saved as {3}")
            beside = result.output.parent == result.input.parent
            where = result.output.name if beside else result.output
            self.log.say(said.format(name, size, seconds, where))
        elif result.status == "skipped":
            reason = translated_reason(result.reason or "")
            self.log.say(self.tr("{0}: skipped: {1}").format(name, reason))
        else:
            reason = translated_reason(result.reason or "")
            self.log.say(self.tr("{0}: failed: {1}").format(name, reason))
        if result.no_room:
            if self.runner.paused and self.progress.left:
                self.progress.pause()
                self.log.say(self.tr("paused: make room on the disk, then go on"))
            self._enable()
            self.progress.tell()

    def _on_batch_finished(self, cancelled: bool) -> None:
        for entry in self.photos.entries:
            if entry.state == "working":
                self.photos.update(entry.path, state="waiting", fraction=0.0)
        self.log.say(self.progress.finished(cancelled))
        self._judge_results()
        came_later = sum(entry.state == "waiting" for entry in self.photos.entries)
        if came_later and not cancelled and not self.progress.left and self._batch_settings:
            self.log.say(self.tr("%n photo(s) came later: Start does them", "", came_later))
        self._enable()
        if self._closing:
            self.close()
        else:
            self.session.set_whole_allowed(True)

    def _on_noise_busy(self) -> None:
        self.progress.forget_outcome()  # it has no place beside a bar that moves
        self._enable()

    def _on_refused(self, reason: str) -> None:
        self.progress.refuse()
        self.log.say(translated_reason(reason))

    def _enable(self) -> None:
        """What can be done now."""
        focused = self.focusWidget()
        busy = self.runner.busy
        some = len(self.photos) > 0
        opened = self.session.view is not None
        removing = self.tabs.currentIndex() == 0  # the noise tab is about something else
        ready = self._denoiser is not None or self._model_lane.busy
        acts = self.all_actions
        acts.start.setEnabled(some and ready and removing and not busy)
        acts.pause.setEnabled(busy and not self.progress.cancelling)
        acts.set_paused(self.runner.paused)
        self.pause_button.setText(acts.pause.text())
        at_work = self._cancels_noise or (busy and not self.progress.cancelling)
        acts.cancel.setEnabled(at_work or bool(self._searches))
        acts.save.setEnabled(opened and self._denoiser is not None and removing and not busy)
        acts.reveal.setEnabled(self._current_entry() is not None)
        acts.remove.setEnabled(self.list_view.selectionModel().hasSelection())
        acts.clear.setEnabled(some)
        for action in acts.of_view:
            action.setEnabled(opened and removing)
        for action in (acts.stronger, acts.weaker):
            action.setEnabled(removing and not busy)
        acts.focus.setEnabled(removing)
        self.options.set_locked(busy)
        self.progress.set_other_work(self.noise_tab.busy)
        if not some:
            self.progress.clear()
        self._keep_focus(focused)

    def _keep_focus(self, focused: QWidget | None) -> None:
        """See that no key goes to a control beside one that just now cannot be used any more.

        Its focus is lent to another, and comes back once it can be used again.
        """
        owner, lent_to = self._focus_lent
        if owner is not None and owner.isEnabled():
            if focused in (None, lent_to):
                owner.setFocus()
            self._focus_lent = None, None
        elif focused is not None and not focused.isEnabled():
            substitute = self.pause_button if self.pause_button.isEnabled() else self.list_view
            substitute.setFocus()
            self._focus_lent = (focused if owner is None else owner), substitute

    def _on_unexpected(self, what: str) -> None:
        self.log.say(self.tr("unexpected error, please report it: {0}").format(what))

    # --- the end ---------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        at_work = self.runner.busy or self.noise_tab.busy
        if at_work and not self._closing and not self._really_stop():
            event.ignore()
            return
        self.noise_tab.close_down()
        # It may have finished while the question was there. Whoever asks once more does not want to
        # wait: `join` still does, a little.
        if self.runner.busy and not self._waits_to_close:
            event.ignore()
            self._closing = self._waits_to_close = True
            self.setEnabled(False)
            self._cancel_batch()  # once it has stopped, this window closes
            self._patience.start(round(1000 * SECONDS_TO_STOP))
            return
        self._patience.stop()
        self._settings.setValue("window/geometry", self.saveGeometry())
        self._settings.setValue("window/columns", self.columns.saveState())
        self._settings.setValue("window/middle", self.middle.saveState())
        self.session.close()
        self.photos.close()
        self._finder.close()
        self._model_lane.close()
        event.accept()

    def stop_and_close(self) -> None:
        """Close without asking: the system or the terminal wants it."""
        self._closing = True
        if self._question is None:
            self.close()
        else:
            self._question.reject()  # whoever asked goes on with closing

    def join(self) -> None:
        """After closing: wait for the threads, which end with the tile that they are at."""
        self.noise_tab.join(10)
        self.runner.join(10)
        self.session.join(10)
        for lane in (self.photos.lane, self._finder, self._model_lane):
            lane.join(10)

    def _really_stop(self) -> bool:
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setText(self.tr("Photos are still being worked on."))
        box.setInformativeText(
            self.tr("What is saved already stays. The photo in work leaves nothing behind.")
        )
        stop = box.addButton(self.tr("&Stop and quit"), QMessageBox.ButtonRole.DestructiveRole)
        stay = box.addButton(self.tr("&Keep working"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.setEscapeButton(stay)
        self._question = box
        box.exec()
        self._question = None
        box.deleteLater()
        return self._closing or box.clickedButton() is stop

    # --- words -----------------------------------------------------------------------------------

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        elif event.type() == QEvent.Type.ActivationChange:
            self.photo_tab.compare.hold_original(False)  # the key's release goes to another window
        super().changeEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space, wherever it means nothing else."""
        if event.key() == Qt.Key.Key_Space and self.photo_tab.compare.isVisible():
            self.photo_tab.compare.keyPressEvent(event)
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space:
            self.photo_tab.compare.keyReleaseEvent(event)
        else:
            super().keyReleaseEvent(event)

    def retranslate(self) -> None:
        """Say everything in the language of now."""
        self.setWindowTitle("invdn")
        self.all_actions.retranslate()
        self.menus.retranslate()
        self.tabs.setTabText(0, self.tr("Remove noise"))
        self.tabs.setTabText(1, self.tr("Add noise"))
        self.choose_button.setText(self.tr("&Choose photos…"))
        self.start_button.setText(self.tr("&Start"))
        self.cancel_button.setText(self.tr("C&ancel"))
        self.save_button.setText(self.tr("Sav&e as…"))
        self.quit_button.setText(self.tr("Qu&it"))
        self.log.setAccessibleName(self.tr("Log"))
        self.list_view.setAccessibleName(self.tr("Photos"))
        self._enable()
        # With room for its scroll bar, so that nothing is cut off where the window is low.
        bar = self.options_column.verticalScrollBar().sizeHint().width()
        needed = self.options.minimumSizeHint().width() + bar
        self.options_column.setFixedWidth(max(OPTIONS_PX, needed))
