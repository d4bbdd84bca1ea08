"""The tab on which a photo is looked at, before and after, and what is said of it there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, QSettings, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from invdn.gui.actions import Actions
from invdn.gui.compare import CompareView, Mode
from invdn.gui.flow import FlowLayout
from invdn.gui.language import translated_reason
from invdn.gui.names import shortened
from invdn.gui.session import Session
from invdn.gui.theme import named
from invdn.preview import NOISE_GAIN

_NAME_PX = 400
"""How wide a photo's name gets in a message."""


class PhotoTab(QWidget):
    """Shows the session's photo; an invitation while there is none; or why it cannot be shown."""

    said = Signal(str)
    """A sentence for the log."""

    def __init__(
        self,
        settings: QSettings,
        session: Session,
        actions: Actions,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._session = session
        self._actions = actions
        self._no_model = False
        # What two labels say, so that it can be said anew in another language.
        self._state_said: Callable[[], str] = str
        self._message_said: Callable[[], str] = str
        self._make_controls()
        self._lay_out()
        self._connect()
        self.retranslate()
        mode = str(settings.value("view/mode", "side"))
        self._set_mode(mode if mode in actions.modes else "side")
        self._enable()

    def open(self, path: Path | None) -> None:
        """Show another photo, or none."""
        self.compare.set_view(None)
        self._session.open(path)
        self._say_state(str)
        if path is None:
            self.stack.setCurrentIndex(0)
        else:
            name = shortened(path.name, self.message, _NAME_PX)
            self._say_message(lambda: self.tr("Opening {0}…").format(name))
        self._enable()

    def set_no_model(self, missing: bool) -> None:
        """Whether there is no model, so that nothing is done with a photo."""
        self._no_model = missing
        self._say_state(str)

    def clear_state(self) -> None:
        """Nothing is being done with the photo any more."""
        self._say_state(str)

    # --- building --------------------------------------------------------------------------------

    def _make_controls(self) -> None:
        actions = self._actions
        self.compare = CompareView()
        self.mode_buttons = {mode: _button(action) for mode, action in actions.modes.items()}
        self.zoom_buttons = [
            _button(action) for action in (actions.fit, actions.full_size, actions.double_size)
        ]
        self.noise_button, self.hold_button = _button(actions.noise), _button()
        self.photo_state = named(QLabel(), "hint")
        self.zoom_label = named(QLabel(), "hint")
        self.corner = QWidget()
        """What is known of the photo, to be shown beside the tabs."""

    def _lay_out(self) -> None:
        corner = QHBoxLayout(self.corner)
        corner.setContentsMargins(0, 0, 4, 0)
        corner.setSpacing(14)
        corner.addWidget(self.photo_state)
        corner.addWidget(self.zoom_label)
        bar = FlowLayout()
        bar.add_group(*self.mode_buttons.values(), spacing=2)
        bar.add_group(*self.zoom_buttons, spacing=2)
        bar.add_group(self.noise_button, self.hold_button, spacing=2)
        self.stack = QStackedWidget()
        self.stack.addWidget(self._invitation())
        self.stack.addWidget(self.compare)
        self.stack.addWidget(self._message_page())
        page = QVBoxLayout(self)
        page.setContentsMargins(0, 6, 0, 0)
        page.addLayout(bar)
        page.addWidget(self.stack, 1)

    def _invitation(self) -> QWidget:
        """What the empty window shows."""
        page = QWidget()
        self._invitation_title = named(QLabel(), "headline")
        self._invitation_text = named(QLabel(), "hint")
        self._invitation_text.setWordWrap(True)
        self._invitation_text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.invitation_button = named(QPushButton(), "primary")
        layout = QVBoxLayout(page)
        layout.addStretch()
        layout.addWidget(self._invitation_title, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(6)
        layout.addWidget(self._invitation_text)
        layout.addSpacing(6)
        layout.addWidget(self.invitation_button, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch()
        return page

    def _message_page(self) -> QWidget:
        """Shown instead of a photo that is being opened or cannot be."""
        page = QWidget()
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setTextFormat(Qt.TextFormat.PlainText)
        # A path in a reason may be one long word.
        self.message.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        layout = QVBoxLayout(page)
        layout.addWidget(self.message)
        return page

    def _connect(self) -> None:
        actions, compare, session = self._actions, self.compare, self._session
        for mode, action in actions.modes.items():
            action.triggered.connect(lambda _=False, mode=mode: self._set_mode(mode))
        actions.noise.triggered.connect(self._on_noise)
        actions.fit.triggered.connect(compare.fit)
        actions.full_size.triggered.connect(lambda: compare.set_zoom(1.0))
        actions.double_size.triggered.connect(lambda: compare.set_zoom(2.0))
        actions.zoom_in.triggered.connect(compare.zoom_in)
        actions.zoom_out.triggered.connect(compare.zoom_out)
        actions.focus.triggered.connect(lambda: compare.setFocus())
        self.hold_button.pressed.connect(lambda: compare.hold_original(True))
        self.hold_button.released.connect(lambda: compare.hold_original(False))
        compare.visible_changed.connect(session.set_visible)
        compare.zoom_changed.connect(self._on_zoom)
        session.opened.connect(self._on_opened)
        session.changed.connect(compare.update)
        session.failed.connect(self._on_failed)
        session.progressed.connect(self._on_progress)
        session.completed.connect(self._on_completed)

    def _enable(self) -> None:
        opened = self._session.view is not None
        self.hold_button.setEnabled(opened)
        self.zoom_label.setVisible(opened)

    # --- what happens ----------------------------------------------------------------------------

    def _on_opened(self) -> None:
        self.stack.setCurrentIndex(1)
        self.compare.set_view(self._session.view)
        self._enable()

    def _on_failed(self, path: Path | None, reason: str) -> None:
        if path is None or path != self._session.path:  # it was said too late
            return
        name = path.name
        short_name = shortened(name, self.message, _NAME_PX)

        def sentence(name: str = short_name) -> str:
            return self.tr("{0}: {1}").format(name, translated_reason(reason))

        self.said.emit(sentence(name))
        self._say_state(str)
        if self._session.view is None:
            self._say_message(sentence)

    def _on_progress(self, fraction: float) -> None:
        if self._session.can_restore:  # or it was said too late
            percent = round(100 * fraction)
            self._say_state(lambda: self.tr("Removing noise: {0} %").format(percent))

    def _on_completed(self) -> None:
        self._say_state(lambda: self.tr("Preview ready"))

    def _on_zoom(self, zoom: float) -> None:
        percent = f"{100 * zoom:.0f}" if zoom >= 0.1 else f"{100 * zoom:.1f}"
        self.zoom_label.setText(self.tr("Zoom {0} %").format(percent))
        self._describe_compare()

    def _set_mode(self, mode: Mode) -> None:
        self._actions.modes[mode].setChecked(True)
        self.compare.set_mode(mode)
        self._settings.setValue("view/mode", mode)
        self._describe_compare()

    def _on_noise(self) -> None:
        shown = self._actions.noise.isChecked()
        self._session.set_noise_wanted(shown)
        self.compare.set_noise_shown(shown)

    # --- words -----------------------------------------------------------------------------------

    def _say_state(self, said: Callable[[], str]) -> None:
        """Say above the photo what is being done with it; or that nothing can be."""
        self._state_said = (lambda: self.tr("no model")) if self._no_model else said
        self.photo_state.setText(self._state_said())

    def _say_message(self, said: Callable[[], str]) -> None:
        """Say something in place of a photo."""
        self._message_said = said
        self.message.setText(said())
        self.stack.setCurrentIndex(2)

    def _describe_compare(self) -> None:
        """For screen readers."""
        mode = self._actions.modes[self.compare.mode].iconText()
        self.compare.setAccessibleDescription(f"{mode}, {self.zoom_label.text()}")

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)

    def retranslate(self) -> None:
        """Say everything in the language of now, which the actions speak already."""
        self._invitation_title.setText(self.tr("Drop photos or folders here"))
        self._invitation_text.setText(
            self.tr("JPEG, PNG, TIFF, WebP and others. Originals are never changed.")
        )
        self.invitation_button.setText(self.tr("Choose photos…"))
        self.hold_button.setText(self.tr("Hold: original"))
        self.hold_button.setToolTip(self.tr("Shows the original while it is held (Space)"))
        self.compare.setAccessibleName(self.tr("Original and result"))
        self.compare.set_titles(
            self.tr("Original"),
            self.tr("Denoised"),
            self.tr("Removed noise ×{0}").format(NOISE_GAIN),
            self.tr("Not denoised yet"),
        )
        self.photo_state.setText(self._state_said())
        self.message.setText(self._message_said())
        self._on_zoom(self.compare.zoom)


def _button(action: QAction | None = None) -> QToolButton:
    """A button that the Tab key reaches, which tool buttons are not by themselves."""
    button = QToolButton()
    if action is not None:
        button.setDefaultAction(action)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    button.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
    return button
