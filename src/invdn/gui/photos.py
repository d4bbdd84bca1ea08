"""The list of photos: a small picture of each, and what has become of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import (
    QAbstractListModel,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QImage, QKeySequence, QPainter, QPalette
from PySide6.QtWidgets import (
    QApplication,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from invdn import images, manifest, preview
from invdn.gui.language import translated_reason
from invdn.gui.names import in_a_line, megapixels, tool_tip
from invdn.gui.tasks import Lane, Token

State = Literal["waiting", "working", "done", "skipped", "failed"]

THUMBNAIL_PX = 56
_MARGIN_PX = 8

_Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class PlacedResult:
    """A result that a batch has placed."""

    output: Path
    settings: object
    version: tuple[int, int] | None
    """Of the photo, see `manifest.version_of`."""

    def holds(self, photo: Path) -> bool:
        """Whether the result is still there, and of the photo as it is now, or was to the end."""
        there = manifest.version_of(self.output) is not None
        return there and manifest.version_of(photo) in (self.version, None)


@dataclass
class Entry:
    """One photo of the list."""

    path: Path
    identity: Path
    """The same for all paths to this photo."""
    state: State = "waiting"
    fraction: float = 0.0
    reason: str = ""
    """Why it failed or was skipped, as the engine says it."""
    output: Path | None = None
    """The last result, wherever it was saved."""
    made: PlacedResult | None = None
    """What the last batch that did it made of it."""
    megapixels: float = 0.0
    """0 until the thumbnail is there."""
    thumbnail: QImage | None = None
    asked: bool = False
    """Whether a thumbnail was asked for."""
    unreadable: bool = False
    """Whether there was none to be had."""


class PhotoList(QAbstractListModel):
    """The photos in their order; none is there twice."""

    ENTRY = Qt.ItemDataRole.UserRole
    _small = Signal(object, object, float)
    _unreadable = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._entries: list[Entry] = []
        self._identities: set[Path] = set()
        self._rows: dict[Path, int] | None = None  # as far as they are known
        self._names: Counter[str] = Counter()
        self.lane = Lane("thumbnails", self)
        self._small.connect(self._on_small)
        self._unreadable.connect(lambda path: self.update(path, unreadable=True))

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, row: int) -> Entry:
        return self._entries[row]

    @property
    def entries(self) -> Sequence[Entry]:
        return self._entries

    @property
    def paths(self) -> list[Path]:
        return [entry.path for entry in self._entries]

    def row_of(self, path: Path) -> int | None:
        if self._rows is None:
            self._rows = {entry.path: row for row, entry in enumerate(self._entries)}
        return self._rows.get(path)

    def add(self, photos: Mapping[Path, Path]) -> int:
        """Append those that are not there yet; returns how many they were.

        photos: paths, by what `batch.identity` says of them.
        """
        new = [
            Entry(p, identity) for identity, p in photos.items() if identity not in self._identities
        ]
        if new:
            first = len(self._entries)
            self.beginInsertRows(QModelIndex(), first, first + len(new) - 1)
            self._entries += new
            self._identities |= {entry.identity for entry in new}
            self._names.update(entry.path.name for entry in new)
            self._rows = None
            self.endInsertRows()
        return len(new)

    def remove(self, rows: Iterable[int]) -> None:
        """Take photos out of the list; the files stay."""
        for first, last in _runs(rows):
            self.beginRemoveRows(QModelIndex(), first, last)
            gone = self._entries[first : last + 1]
            self._identities -= {entry.identity for entry in gone}
            self._names.subtract(entry.path.name for entry in gone)
            del self._entries[first : last + 1]
            self._rows = None
            self.endRemoveRows()

    def shown_name(self, path: Path) -> str:
        """A photo's name, with that of its folder where another one in the list is called alike."""
        alike = self._names[path.name] > 1
        return in_a_line(f"{path.parent.name}/{path.name}" if alike else path.name)

    def update(self, path: Path, **fields: Any) -> None:
        """Change fields of the entry of a photo, if it is still there."""
        row = self.row_of(path)
        if row is not None:
            for name, value in fields.items():
                setattr(self._entries[row], name, value)
            self.dataChanged.emit(self.index(row), self.index(row))

    def close(self) -> None:
        self.lane.close()

    # --- for Qt ----------------------------------------------------------------------------------

    def rowCount(self, parent: _Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._entries)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._entries):
            return None
        entry = self._entries[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self.shown_name(entry.path)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tool_tip(f"{entry.path}\n{self.state_text(entry)}")
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{self.shown_name(entry.path)}, {self.state_text(entry)}"
        if role == Qt.ItemDataRole.DecorationRole:
            self._ask_thumbnail(entry)
            return entry.thumbnail
        if role == self.ENTRY:
            return entry
        return None

    def state_text(self, entry: Entry) -> str:
        """What has become of a photo, in a few words."""
        if entry.state == "working":
            return self.tr("working, {0} %").format(round(100 * entry.fraction))
        if entry.state == "done":
            return self.tr("done")
        if entry.state == "skipped":
            return self.tr("skipped: {0}").format(translated_reason(entry.reason))
        if entry.state == "failed":
            return self.tr("failed: {0}").format(translated_reason(entry.reason))
        if entry.megapixels:
            return self.tr("{0} MP").format(megapixels(entry.megapixels))
        return self.tr("cannot be read") if entry.unreadable else ""

    # --- thumbnails ------------------------------------------------------------------------------

    def _ask_thumbnail(self, entry: Entry) -> None:
        if entry.asked:
            return
        entry.asked = True
        path = entry.path

        def work(token: Token) -> None:
            try:
                pixels, megapixels = preview.thumbnail(path, 2 * THUMBNAIL_PX)
            except (images.PhotoError, OSError):
                self._unreadable.emit(path)  # why is said when it is opened or worked on
                return
            height, width = pixels.shape[:2]
            image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
            self._small.emit(path, image.copy(), megapixels)

        self.lane.add(work, first=True)  # what was scrolled to last is being looked at

    def _on_small(self, path: Path, image: QImage, megapixels: float) -> None:
        self.update(path, thumbnail=image, megapixels=megapixels)


def _runs(rows: Iterable[int]) -> list[tuple[int, int]]:
    """Rows as runs of neighbours, (first, last), from the end of the list to its beginning."""
    runs: list[tuple[int, int]] = []
    for row in sorted(set(rows), reverse=True):
        if runs and runs[-1][0] == row + 1:
            runs[-1] = (row, runs[-1][1])
        else:
            runs.append((row, row))
    return runs


class PhotoDelegate(QStyledItemDelegate):
    """Paints an entry: picture, name, state, and a bar while it is worked on."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        return QSize(200, THUMBNAIL_PX + 2 * _MARGIN_PX)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        self.initStyleOption(option, index)
        entry: Entry = index.data(PhotoList.ENTRY)
        image = index.data(Qt.ItemDataRole.DecorationRole)
        style = option.widget.style() if option.widget else QApplication.style()
        style.drawPrimitive(
            QStyle.PrimitiveElement.PE_PanelItemViewItem, option, painter, option.widget
        )
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        area = option.rect.adjusted(_MARGIN_PX, _MARGIN_PX, -_MARGIN_PX, -_MARGIN_PX)
        self._paint_picture(
            painter, QRect(area.topLeft(), QSize(THUMBNAIL_PX, THUMBNAIL_PX)), image
        )
        text = area.adjusted(THUMBNAIL_PX + 10, 0, 0, 0)
        model = index.model()
        assert isinstance(model, PhotoList)
        said = model.shown_name(entry.path), model.state_text(entry)
        self._paint_text(painter, option, text, entry.state, said, selected)
        if entry.state == "working":
            bar = QRect(text.left(), text.bottom() - 7, text.width(), 4)
            painter.fillRect(bar, option.palette.midlight())
            bar.setWidth(round(bar.width() * entry.fraction))
            colour = option.palette.highlightedText() if selected else option.palette.highlight()
            painter.fillRect(bar, colour)

    def _paint_picture(self, painter: QPainter, place: QRect, image: QImage | None) -> None:
        if image is None:
            painter.fillRect(place, QColor(128, 128, 128, 60))
            return
        size = image.size().scaled(place.size(), Qt.AspectRatioMode.KeepAspectRatio)
        target = QRect(place.topLeft(), size)
        target.moveCenter(place.center())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(target, image)

    def _paint_text(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        place: QRect,
        state: State,
        said: tuple[str, str],
        selected: bool,
    ) -> None:
        """The name and, below it, what has become of the photo."""
        name, outcome = said
        palette = option.palette
        role = QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text
        painter.setPen(palette.color(role))
        metrics = option.fontMetrics
        upper = QRect(place.left(), place.top() + 3, place.width(), metrics.height())
        name = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, place.width())
        painter.drawText(upper, Qt.AlignmentFlag.AlignVCenter, name)
        if not selected:
            painter.setPen(self._state_colour(palette, state))
        lower = upper.translated(0, metrics.height() + 3)
        line = metrics.elidedText(outcome, Qt.TextElideMode.ElideRight, place.width())
        painter.drawText(lower, Qt.AlignmentFlag.AlignVCenter, line)

    def _state_colour(self, palette: QPalette, state: State) -> QColor:
        if state == "failed":
            return palette.color(QPalette.ColorRole.BrightText)
        if state == "done":
            dark = palette.color(QPalette.ColorRole.Base).lightness() < 128
            return QColor("#7ccf8a" if dark else "#1b7f37")
        return palette.color(QPalette.ColorRole.PlaceholderText)


class PhotoListView(QListView):
    """The list on the screen."""

    remove_wanted = Signal()

    def __init__(self, model: PhotoList, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModel(model)
        self.setItemDelegate(PhotoDelegate(self))
        self.setSelectionMode(QListView.SelectionMode.ExtendedSelection)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(140)

    def go_to(self, row: int) -> None:
        """Make a photo the current one, and the only one that is selected.

        Whatever keys are held: `setCurrentIndex` takes a held Ctrl for a wish to select more.
        """
        only = QItemSelectionModel.SelectionFlag.ClearAndSelect
        self.selectionModel().setCurrentIndex(self.model().index(row, 0), only)

    def selected_rows(self) -> list[int]:
        return [index.row() for index in self.selectionModel().selectedRows()]

    def keyPressEvent(self, event: Any) -> None:
        if event.matches(QKeySequence.StandardKey.Delete):
            self.remove_wanted.emit()
        elif event.key() == Qt.Key.Key_Space:
            event.ignore()  # the window shows the original while it is held
        else:
            super().keyPressEvent(event)
