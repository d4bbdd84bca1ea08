"""How much is removed and how results are saved: the settings beside the photo, remembered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QEvent, QSettings, QSignalBlocker, QStandardPaths, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from invdn.gui.controls import QualityBox, heed_wheel_in_use_only
from invdn.gui.names import show_on_button
from invdn.gui.theme import named

Where = Literal["beside", "folder", "ask"]

MAX_STRENGTH_PERCENT = 150
_FORMATS = ("", "jpg", "png", "tif", "webp")
_OTHER_MODEL = "\0other"


@dataclass(frozen=True)
class SaveOptions:
    """How results are saved."""

    where: Where
    folder: Path
    """Where to, if `where` is "folder"."""
    format: str | None
    quality: int | None
    metadata: bool
    number: bool
    """Whether a result whose name is taken gets a number; otherwise the photo is skipped."""


class OptionsPanel(QWidget):
    """The settings as controls. What is changed is in the `QSettings` at once, but the model."""

    strength_changed = Signal(float)
    model_changed = Signal(str)
    saving_changed = Signal()

    def __init__(
        self, settings: QSettings, models: list[str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._strength_known = True
        self._locked = False
        self._make_controls(models)
        self._lay_out()
        self._load()
        self._connect()
        self.retranslate()

    # --- values ----------------------------------------------------------------------------------

    @property
    def strength(self) -> float:
        """0–1.5; 1 for a model that knows no other."""
        return self.strength_slider.value() / 100 if self._strength_known else 1.0

    def set_strength_known(self, known: bool) -> None:
        """Whether the model knows a strength at all."""
        if known != self._strength_known:
            self._strength_known = known
            self._enable()
            self._say_hint()
            self.strength_changed.emit(self.strength)

    @property
    def model(self) -> str:
        """A shipped model's name, or the path of an .onnx file."""
        return str(self.model_box.currentData())

    def remember_model(self) -> None:
        """The chosen one could be loaded: begin with it the next time."""
        self._settings.setValue("model", self.model)

    @property
    def saving(self) -> SaveOptions:
        return SaveOptions(
            where=self.where_box.currentData(),
            folder=self._folder,
            format=self.format_box.currentData() or None,
            quality=self.quality_box.value() or None,
            metadata=self.metadata_box.isChecked(),
            number=not self.skip_box.isChecked(),
        )

    def set_folder(self, folder: Path) -> None:
        """Save into this folder from now on."""
        self._folder = folder
        self._settings.setValue("save/folder", str(folder))
        self._show_folder()
        self.saving_changed.emit()

    def add_strength(self, percent: int) -> None:
        """Move the slider, if it can be moved."""
        if self._strength_known and not self._locked:
            self.strength_slider.setValue(self.strength_slider.value() + percent)

    def set_locked(self, locked: bool) -> None:
        """While a batch runs, its settings cannot be changed: its results would not be theirs."""
        self._locked = locked
        self._enable()

    def _enable(self) -> None:
        for box in (self.strength_slider, self.strength_box):
            box.setEnabled(self._strength_known and not self._locked)
        why = self.tr("Not while photos are being worked on") if self._locked else ""
        for part in (self.strength_slider, self.strength_box, self.model_box, self._saving_group):
            part.setToolTip(why)
        for part in (self.model_box, self._saving_group):
            part.setEnabled(not self._locked)

    # --- building --------------------------------------------------------------------------------

    def _make_controls(self, models: list[str]) -> None:
        self.strength_slider = QSlider(Qt.Orientation.Horizontal)
        self.strength_slider.setRange(0, MAX_STRENGTH_PERCENT)
        self.strength_slider.setPageStep(10)
        self.strength_slider.setTickPosition(QSlider.TickPosition.TicksBelow)
        self.strength_slider.setTickInterval(50)
        self.strength_box = QSpinBox()
        self.strength_box.setRange(0, MAX_STRENGTH_PERCENT)
        self.strength_box.setSuffix(" %")
        self.model_box = QComboBox()
        for name in models:
            self.model_box.addItem(name, name)
        self.model_box.addItem("", _OTHER_MODEL)
        # As wide as there is room: a long name would push its label out of sight.
        self.model_box.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.model_box.setMinimumContentsLength(8)
        self.where_box = QComboBox()
        for where in ("beside", "folder", "ask"):
            self.where_box.addItem("", where)
        self.folder_button = QPushButton()
        self.format_box = QComboBox()
        for format in _FORMATS:
            self.format_box.addItem("", format)
        self.quality_box = QualityBox()
        self.metadata_box = QCheckBox()
        self.skip_box = QCheckBox()
        heed_wheel_in_use_only(
            self.strength_slider,
            self.strength_box,
            self.model_box,
            self.where_box,
            self.format_box,
            self.quality_box,
        )

    def _lay_out(self) -> None:
        self._removal_group, self._saving_group = QGroupBox(), QGroupBox()
        names = ("strength", "model", "where", "folder", "format", "quality")
        self._labels = {name: QLabel() for name in names}
        removal = QVBoxLayout(self._removal_group)
        row = QHBoxLayout()
        row.addWidget(self._labels["strength"])
        row.addStretch()
        row.addWidget(self.strength_box)
        removal.addLayout(row)
        removal.addWidget(self.strength_slider)
        self._strength_hint = named(QLabel(), "hint")
        self._strength_hint.setWordWrap(True)
        removal.addWidget(self._strength_hint)
        form = QFormLayout()
        form.addRow(self._labels["model"], self.model_box)
        removal.addLayout(form)
        saving = QFormLayout(self._saving_group)
        for form_layout in (form, saving):
            form_layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        saving.addRow(self._labels["where"], self.where_box)
        saving.addRow(self._labels["folder"], self.folder_button)
        saving.addRow(self._labels["format"], self.format_box)
        saving.addRow(self._labels["quality"], self.quality_box)
        saving.addRow(self.metadata_box)
        saving.addRow(self.skip_box)
        for name, buddy in (
            ("strength", self.strength_box),
            ("model", self.model_box),
            ("where", self.where_box),
            ("folder", self.folder_button),
            ("format", self.format_box),
            ("quality", self.quality_box),
        ):
            self._labels[name].setBuddy(buddy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._removal_group)
        layout.addWidget(self._saving_group)
        layout.addStretch()

    def _load(self) -> None:
        settings = self._settings
        self.strength_slider.setValue(_whole_number(settings, "strength", 100))
        self.strength_box.setValue(self.strength_slider.value())
        model = str(settings.value("model", "photo"))
        if self.model_box.findData(model) < 0 and model.endswith(".onnx"):
            self._insert_model(model)
        self.model_box.setCurrentIndex(max(0, self.model_box.findData(model)))
        self._chosen_model = self.model
        self.where_box.setCurrentIndex(
            max(0, self.where_box.findData(settings.value("save/where", "beside")))
        )
        pictures = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
        self._folder = Path(str(settings.value("save/folder") or Path(pictures) / "invdn"))
        self.format_box.setCurrentIndex(
            max(0, self.format_box.findData(settings.value("save/format", "")))
        )
        self.quality_box.setValue(_whole_number(settings, "save/quality", 0))
        self.metadata_box.setChecked(bool(settings.value("save/metadata", True, type=bool)))
        self.skip_box.setChecked(bool(settings.value("save/skip", False, type=bool)))

    def _connect(self) -> None:
        self.strength_slider.valueChanged.connect(self._on_strength)
        self.strength_box.valueChanged.connect(self.strength_slider.setValue)
        self.model_box.activated.connect(self._on_model)
        self.folder_button.clicked.connect(self._choose_folder)
        for box in (self.where_box, self.format_box):
            box.currentIndexChanged.connect(self._on_saving)
        self.quality_box.valueChanged.connect(self._on_saving)
        self.metadata_box.toggled.connect(self._on_saving)
        self.skip_box.toggled.connect(self._on_saving)
        self._show_folder()

    # --- changes ---------------------------------------------------------------------------------

    def _on_strength(self, percent: int) -> None:
        with QSignalBlocker(self.strength_box):
            self.strength_box.setValue(percent)
        self._settings.setValue("strength", percent)
        self.strength_changed.emit(percent / 100)

    def _on_model(self) -> None:
        chosen = ""
        if self.model_box.currentData() == _OTHER_MODEL:
            chosen, _ = QFileDialog.getOpenFileName(
                self, self.tr("Choose a model"), "", self.tr("Models (*.onnx)")
            )
            if chosen and self.model_box.findData(chosen) < 0:
                self._insert_model(chosen)
            self.model_box.setCurrentIndex(self.model_box.findData(chosen or self._chosen_model))
        if chosen or self.model != self._chosen_model:  # the same file may have become another one
            self._chosen_model = self.model
            self.model_changed.emit(self.model)

    def _insert_model(self, path: str) -> None:
        self.model_box.insertItem(self.model_box.count() - 1, Path(path).name, path)

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(
            self, self.tr("Choose a folder for the results"), str(self._folder)
        )
        if chosen:
            self.set_folder(Path(chosen))

    def _on_saving(self) -> None:
        saving = self.saving
        self._settings.setValue("save/where", saving.where)
        self._settings.setValue("save/format", saving.format or "")
        self._settings.setValue("save/quality", saving.quality or 0)
        self._settings.setValue("save/metadata", saving.metadata)
        self._settings.setValue("save/skip", not saving.number)
        self._show_folder()
        self.saving_changed.emit()

    def _show_folder(self) -> None:
        visible = self.saving.where == "folder"
        self.folder_button.setVisible(visible)
        self._labels["folder"].setVisible(visible)
        show_on_button(self.folder_button, str(self._folder), str(self._folder))
        lossy = self.format_box.currentData() in ("", "jpg", "webp")
        self.quality_box.setEnabled(lossy)

    # --- words -----------------------------------------------------------------------------------

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)

    def _say_hint(self) -> None:
        if self._strength_known:
            text = self.tr("0 % is the original, 100 % removes what looks like noise.")
        else:
            text = self.tr("This model knows no strength but 100 %.")
        self._strength_hint.setText(text)

    def retranslate(self) -> None:
        self._enable()
        self._removal_group.setTitle(self.tr("Noise removal"))
        self._saving_group.setTitle(self.tr("Saving"))
        self._labels["strength"].setText(self.tr("S&trength"))
        self.strength_slider.setAccessibleName(self.tr("Strength, in percent"))
        self.strength_box.setAccessibleName(self.tr("Strength, in percent"))
        self._say_hint()
        self._labels["model"].setText(self.tr("Mo&del"))
        notes = {
            "best": self.tr("{0} (about twice the time)"),
            "fast": self.tr("{0} (about 0.6 of the time)"),
        }
        for row in range(self.model_box.count() - 1):
            name = str(self.model_box.itemData(row))
            if name in notes:
                self.model_box.setItemText(row, notes[name].format(name))
        self.model_box.setItemText(self.model_box.count() - 1, self.tr("Other file…"))
        self._labels["where"].setText(self.tr("Resu&lts"))
        for row, text in enumerate(
            (self.tr("Beside the original"), self.tr("Into a folder"), self.tr("Ask each time"))
        ):
            self.where_box.setItemText(row, text)
        self._labels["folder"].setText(self.tr("F&older"))
        self.folder_button.setAccessibleName(self.tr("Choose a folder for the results"))
        self._labels["format"].setText(self.tr("For&mat"))
        for row, text in enumerate((self.tr("As the original"), "JPEG", "PNG", "TIFF", "WebP")):
            self.format_box.setItemText(row, text)
        self._labels["quality"].setText(self.tr("&Quality"))
        self.quality_box.setSpecialValueText(self.tr("Automatic"))
        self.quality_box.setToolTip(
            self.tr("Of JPEG and WebP. Automatic keeps a JPEG's own, but 90 at least.")
        )
        self.metadata_box.setText(self.tr("&Keep camera data and place"))
        self.metadata_box.setToolTip(
            self.tr("EXIF, XMP and IPTC: camera, time, place, author. Colours are kept either way.")
        )
        self.skip_box.setText(self.tr("Skip if the res&ult's name is taken"))
        self.skip_box.setToolTip(
            self.tr(
                "Whatever photo has it; otherwise the result gets a number. Nothing is ever"
                " overwritten."
            )
        )


def _whole_number(settings: QSettings, key: str, default: int) -> int:
    """A number from the settings, which are a file that anybody may have edited."""
    try:
        return min(max(int(str(settings.value(key, default))), 0), 1000)  # what Qt's numbers hold
    except ValueError:
        return default
