"""The window in the user's language: Qt's translations, and the engine's sentences in it too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from PySide6.QtCore import (
    QT_TRANSLATE_NOOP,
    QCoreApplication,
    QLibraryInfo,
    QLocale,
    QTranslator,
)

LANGUAGES = {"en": "English", "zh_CN": "简体中文"}
"""What the window speaks: the names of the translations, and of the languages in themselves."""

TRANSLATIONS = Path(__file__).parent / "translations"

_installed: list[QTranslator] = []


def system_language() -> str:
    """The one of `LANGUAGES` that comes first in the user's own list; English if none does."""
    for name in QLocale.system().uiLanguages():
        locale = QLocale(name)
        if locale.language() == QLocale.Language.Chinese:
            return "zh_CN"
        if locale.language() == QLocale.Language.English:
            return "en"
    return "en"


def apply(language: str) -> str:
    """Speak a language ("system", or one of `LANGUAGES`) from now on; returns which it is.

    Every widget gets a LanguageChange event.
    """
    chosen = language if language in LANGUAGES else system_language()
    for translator in _installed:
        QCoreApplication.removeTranslator(translator)
    _installed.clear()
    qt_own = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
    for name, folder in ((f"qtbase_{chosen}", qt_own), (f"invdn_{chosen}", str(TRANSLATIONS))):
        translator = QTranslator()
        if translator.load(name, folder):
            QCoreApplication.installTranslator(translator)
            _installed.append(translator)
    QLocale.setDefault(QLocale(chosen))
    return chosen


# What the engine says, as patterns, and what the window says for it. The engine speaks English.
_REASONS: tuple[tuple[str, Any], ...] = (
    (r"no such file", QT_TRANSLATE_NOOP("Reasons", "the file is not there any more")),
    (r"the file is empty", QT_TRANSLATE_NOOP("Reasons", "the file is empty")),
    (
        r"the output exists already .*",
        QT_TRANSLATE_NOOP("Reasons", "there is a result of that name already"),
    ),
    (
        r"the (.+) file is damaged or cut off \((.+)\)",
        QT_TRANSLATE_NOOP("Reasons", "the {0} file is damaged or cut off ({1})"),
    ),
    (
        r"is not a (.+) file, nor any other picture that can be read",
        QT_TRANSLATE_NOOP("Reasons", "this is neither a {0} file nor another picture"),
    ),
    (
        r"is not a picture that can be read \((.+)\)",
        QT_TRANSLATE_NOOP("Reasons", "this is not a picture that can be read ({0})"),
    ),
    (
        r"cannot write (.+): no space left on device",
        QT_TRANSLATE_NOOP("Reasons", "the disk is full: {0} cannot be written"),
    ),
    (
        r"cannot write (.+): (?:permission denied|read-only file system)",
        QT_TRANSLATE_NOOP("Reasons", "{0} cannot be written: it is not allowed there"),
    ),
    (r"cannot write (.+): (.+)", QT_TRANSLATE_NOOP("Reasons", "{0} cannot be written: {1}")),
    (
        r"no space left on device.*",
        QT_TRANSLATE_NOOP("Reasons", "the disk is full"),
    ),
    (
        r"permission denied \((.+)\)",
        QT_TRANSLATE_NOOP("Reasons", "{0}: it is not allowed there"),
    ),
    (r"cannot be read: (.+)", QT_TRANSLATE_NOOP("Reasons", "it cannot be read: {0}")),
    (r"cannot be opened: (.+)", QT_TRANSLATE_NOOP("Reasons", "it cannot be opened: {0}")),
    (
        r"not enough memory for a picture of this size",
        QT_TRANSLATE_NOOP("Reasons", "there is not enough memory for a picture of this size"),
    ),
    (
        r"(.+) is not supported: convert it to .+ first",
        QT_TRANSLATE_NOOP("Reasons", "{0} cannot be read: convert it to JPEG or TIFF first"),
    ),
    (
        r"there is no model '(.+)': .*",
        QT_TRANSLATE_NOOP("Reasons", "there is no model “{0}” here: choose another one"),
    ),
    (
        r".+: the output .+ is an input: .*",
        QT_TRANSLATE_NOOP("Reasons", "an original is never replaced: choose another name"),
    ),
    (r"there is no model file (.+)", QT_TRANSLATE_NOOP("Reasons", "there is no model file {0}")),
    (
        r"JPEG holds no transparency: .*",
        QT_TRANSLATE_NOOP("Reasons", "JPEG holds no transparency: the background is white now"),
    ),
    (r"(.+) holds 8 bits a channel", QT_TRANSLATE_NOOP("Reasons", "{0} holds 8 bits a channel")),
    (r"this is really a (.+) file", QT_TRANSLATE_NOOP("Reasons", "this is really a {0} file")),
)  # fmt: skip


def translated_reason(reason: str) -> str:
    """A sentence of the engine in the window's language, or as it is where it is a rare one."""
    for pattern, sentence in _REASONS:
        match = re.fullmatch(pattern, reason)
        if match:
            return QCoreApplication.translate("Reasons", sentence).format(*match.groups())
    return reason
