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
    (
        r"no such file or folder(?:: .+)?",
        QT_TRANSLATE_NOOP("Reasons", "the file is not there any more"),
    ),
    (r"the file is empty", QT_TRANSLATE_NOOP("Reasons", "the file is empty")),
    (
        r"the output exists already .*",
        QT_TRANSLATE_NOOP("Reasons", "there is a result of that name already"),
    ),
    (
        r"another invdn is making it just now",
        QT_TRANSLATE_NOOP("Reasons", "another invdn is making this result just now"),
    ),
    (
        r"another invdn made it meanwhile",
        QT_TRANSLATE_NOOP("Reasons", "another invdn made this result meanwhile"),
    ),
    (
        r"the camera raw file is damaged or cut off \((.+)\)",
        QT_TRANSLATE_NOOP("Reasons", "the camera raw file is damaged or cut off ({0})"),
    ),
    (
        r"the (.+) file is damaged or cut off \((.+)\)",
        QT_TRANSLATE_NOOP("Reasons", "the {0} file is damaged or cut off ({1})"),
    ),
    (
        r"is not an? (.+) file, nor any other picture that can be read",
        QT_TRANSLATE_NOOP("Reasons", "this is no {0} file, and no other picture"),
    ),
    (
        r"is not a picture that can be read \((.+)\)",
        QT_TRANSLATE_NOOP("Reasons", "this is not a picture that can be read ({0})"),
    ),
    (
        r"cannot write a file without a suffix.*",
        QT_TRANSLATE_NOOP("Reasons", "the name lacks a suffix such as .jpg or .tif"),
    ),
    (
        r"cannot write (\S+) files: .*",
        QT_TRANSLATE_NOOP("Reasons", "{0} files cannot be written: choose another format"),
    ),
    (
        r"cannot write (.+): no space left on device.*",
        QT_TRANSLATE_NOOP("Reasons", "the disk is full: {0} cannot be written"),
    ),
    (
        r"cannot make the folder (.+?): (.+)",
        QT_TRANSLATE_NOOP("Reasons", "the folder {0} cannot be made: {1}"),
    ),
    (
        r"cannot write into the folder (.+?): (.+)",
        QT_TRANSLATE_NOOP("Reasons", "nothing can be written into the folder {0}: {1}"),
    ),
    (
        r"cannot write (.+?): (?:permission denied|read-only file system).*",
        QT_TRANSLATE_NOOP("Reasons", "{0} cannot be written: it is not allowed there"),
    ),
    (r"cannot write (.+?): (.+)", QT_TRANSLATE_NOOP("Reasons", "{0} cannot be written: {1}")),
    (
        r"(?:.+: )?no space left on device.*",
        QT_TRANSLATE_NOOP("Reasons", "the disk is full"),
    ),
    (
        r"(?!cannot )(.+?): (?:permission denied|read-only file system).*",
        QT_TRANSLATE_NOOP("Reasons", "{0}: it is not allowed there"),
    ),
    (r"permission denied(?:: .+)?", QT_TRANSLATE_NOOP("Reasons", "it is not allowed")),
    (
        r"read-only file system(?:: .+)?",
        QT_TRANSLATE_NOOP("Reasons", "nothing can be written there"),
    ),
    (r"input/output error", QT_TRANSLATE_NOOP("Reasons", "the disk or the network fails")),
    (
        r"stale file handle|connection timed out",
        QT_TRANSLATE_NOOP("Reasons", "the network drive does not answer any more"),
    ),
    (
        r"too many levels of symbolic links(?:: .+)?",
        QT_TRANSLATE_NOOP("Reasons", "this is a link that leads nowhere"),
    ),
    (
        r"disk quota exceeded(?:: .+)?",
        QT_TRANSLATE_NOOP("Reasons", "your share of the disk is full"),
    ),
    (r"file name too long(?:: .+)?", QT_TRANSLATE_NOOP("Reasons", "the name is too long")),
    (r"not a directory(?:: .+)?", QT_TRANSLATE_NOOP("Reasons", "this is not a folder")),
    (r"is a directory(?:: .+)?", QT_TRANSLATE_NOOP("Reasons", "this is a folder")),
    (r"file exists(?:: .+)?", QT_TRANSLATE_NOOP("Reasons", "there is a file of that name already")),
    (
        r"(?!cannot )(?=.+?: (input/output error|file name too long|not a directory"
        r"|is a directory|file exists|no such file or directory|stale file handle"
        r"|connection timed out|too many levels of symbolic links|disk quota exceeded)(?:: .+)?$)"
        r"(.+?): .+",
        QT_TRANSLATE_NOOP("Reasons", "{1}: {0}"),
    ),
    (r"premature end of JPEG image", QT_TRANSLATE_NOOP("Reasons", "its end is missing")),
    (r"no reason given", QT_TRANSLATE_NOOP("Reasons", "no reason given")),
    (
        r"Unsupported file format or not RAW file",
        QT_TRANSLATE_NOOP("Reasons", "an unknown camera, or not camera raw at all"),
    ),
    (r"no such file or directory", QT_TRANSLATE_NOOP("Reasons", "it is not there")),
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
    (
        r"(.+) holds trained weights: .*",
        QT_TRANSLATE_NOOP("Reasons", "{0} holds trained weights: it must be exported first"),
    ),
    (r"there is no model file (.+)", QT_TRANSLATE_NOOP("Reasons", "there is no model file {0}")),
    (
        r"(.+) holds no transparency: .*",
        QT_TRANSLATE_NOOP("Reasons", "{0} holds no transparency: the background is white now"),
    ),
    (
        r"(.+) holds (.+) bits a channel",
        QT_TRANSLATE_NOOP("Reasons", "{0} holds {1} bits a channel"),
    ),
    (
        r"(.+) holds no metadata: .*",
        QT_TRANSLATE_NOOP("Reasons", "{0} holds no metadata: camera data and profile are left out"),
    ),
    (
        r"(.+) holds no IPTC texts: .*",
        QT_TRANSLATE_NOOP("Reasons", "{0} holds no IPTC texts: they are left out"),
    ),
    (
        r"the EXIF data does not fit .*",
        QT_TRANSLATE_NOOP("Reasons", "the camera data does not fit into a JPEG: it is left out"),
    ),
    (r"this is really an? (.+) file", QT_TRANSLATE_NOOP("Reasons", "its format is really {0}")),
    (r"CMYK was converted to sRGB", QT_TRANSLATE_NOOP("Reasons", "CMYK was converted to sRGB")),
    (r"its palette was expanded", QT_TRANSLATE_NOOP("Reasons", "its palette was expanded")),
    (
        r"only the first of (.+) pages is kept",
        QT_TRANSLATE_NOOP("Reasons", "only the first of {0} pages is kept"),
    ),
    (
        r"only the main one of its (.+) pictures is kept",
        QT_TRANSLATE_NOOP("Reasons", "only the main one of its {0} pictures is kept"),
    ),
    (
        r"camera raw was developed to sRGB, 16 bits",
        QT_TRANSLATE_NOOP("Reasons", "the camera raw was developed to sRGB, 16 bits"),
    ),
    (
        r"its values go to (.+): they were scaled to (.+)",
        QT_TRANSLATE_NOOP("Reasons", "its values go to {0}: they were scaled to {1}"),
    ),
    (r"page (.+?) of (.+?): (.+)", QT_TRANSLATE_NOOP("Reasons", "page {0} of {1}: {2}")),
    (
        r"the (.+) file is damaged \((.+)\)",
        QT_TRANSLATE_NOOP("Reasons", "the {0} file is damaged ({1})"),
    ),
    (
        r"this kind of camera raw is not supported \((.+)\)",
        QT_TRANSLATE_NOOP("Reasons", "this kind of camera raw cannot be read ({0})"),
    ),
    (
        r"this kind of (.+) file is not supported \((.+)\)",
        QT_TRANSLATE_NOOP("Reasons", "this kind of {0} file cannot be read ({1})"),
    ),
    (r"camera raw needs: (.+)", QT_TRANSLATE_NOOP("Reasons", "to read camera raw, install: {0}")),
    (
        r"ONNX Runtime cannot be imported \((.+)\): (.+)",
        QT_TRANSLATE_NOOP("Reasons", "ONNX Runtime cannot be loaded ({0}); what helps: {1}"),
    ),
    (r"(.+) needs: (.+)", QT_TRANSLATE_NOOP("Reasons", "to read {0}, install: {1}")),
    (r"(.+) cannot be imported", QT_TRANSLATE_NOOP("Reasons", "{0} cannot be loaded")),
    (
        r"claims to be (.+) pixels, more than the limit of (.+) megapixels.*",
        QT_TRANSLATE_NOOP("Reasons", "it has {0} pixels: more than {1} megapixels are too many"),
    ),
    (
        r"has (.+) megapixels, too many to be shown",
        QT_TRANSLATE_NOOP("Reasons", "{0} megapixels are too many to be shown: Start works on it"),
    ),
    (
        r"comments and other parts that only (.+) holds are left out",
        QT_TRANSLATE_NOOP("Reasons", "comments that only {0} can hold are left out"),
    ),
    (
        r"is HDR .*",
        QT_TRANSLATE_NOOP("Reasons", "it is an HDR picture: convert it to SDR first"),
    ),
    (
        r"has the colours of (.+) and no profile: .*",
        QT_TRANSLATE_NOOP("Reasons", "it has the colours of {0} and no profile: convert it to RGB"
                                     " first"),
    ),
    (r"claims to have no pixels", QT_TRANSLATE_NOOP("Reasons", "it has no pixels")),
    (
        r"is black and white only .*",
        QT_TRANSLATE_NOOP("Reasons", "it is black and white only: there is no noise to remove"),
    ),
    (
        r"has pixels of type (.+): .*",
        QT_TRANSLATE_NOOP("Reasons", "its pixels are of type {0}: only 8, 16 bits and float are"
                                     " read"),
    ),
    (
        r"is in the colour space (.+): .*",
        QT_TRANSLATE_NOOP("Reasons", "it is in the colour space {0}: convert it to RGB first"),
    ),
    (
        r"has (.+) channels: .*",
        QT_TRANSLATE_NOOP("Reasons", "it has {0} channels: at most 4 are read"),
    ),
    (
        r"has (.+) pages: at most (.+) are read",
        QT_TRANSLATE_NOOP("Reasons", "it has {0} pages: at most {1} are read"),
    ),
    (r"is an animation.*", QT_TRANSLATE_NOOP("Reasons", "this is an animation, not a photo")),
    (r"is a film .*", QT_TRANSLATE_NOOP("Reasons", "this is a film, not a photo")),
    (r"is a folder, .*", QT_TRANSLATE_NOOP("Reasons", "this is a folder, not a photo")),
    (r"is not a regular file", QT_TRANSLATE_NOOP("Reasons", "this is not an ordinary file")),
    (
        r"the colour profile cannot be used \((.+)\)",
        QT_TRANSLATE_NOOP("Reasons", "the colour profile cannot be used ({0})"),
    ),
    (
        r"cannot be written as HEIC: (.+)",
        QT_TRANSLATE_NOOP("Reasons", "it cannot be written as HEIC: {0}"),
    ),
    (r"BMP holds at most .*", QT_TRANSLATE_NOOP("Reasons", "it is too large for a BMP file")),
    (
        r"its pages are more than .*",
        QT_TRANSLATE_NOOP("Reasons", "its pages are too large for a TIFF file"),
    ),
    (
        r"is clean already: copied as it is",
        QT_TRANSLATE_NOOP("Reasons", "it is clean already: it was copied as it is"),
    ),
    (
        r"is clean already: only converted",
        QT_TRANSLATE_NOOP("Reasons", "it is clean already: it was only converted"),
    ),
    (
        r"is clean already, and only its first page .*",
        QT_TRANSLATE_NOOP("Reasons", "it is clean already, and only one page could be converted"),
    ),
    (
        r"is clean already, and too large .*",
        QT_TRANSLATE_NOOP("Reasons", "it is clean already, and too large to be converted"),
    ),
    (
        r"there is no noise model (.+): .*",
        QT_TRANSLATE_NOOP("Reasons", "there is no noise model {0}"),
    ),
    (
        r"(.+) is not a noise model: .*",
        QT_TRANSLATE_NOOP("Reasons", "{0} is not a noise model"),
    ),
    (
        r"(.+) is not a usable ONNX model: .*",
        QT_TRANSLATE_NOOP("Reasons", "{0} is not a model that can be used"),
    ),
    (r"(.+) is not a model of invdn: .*", QT_TRANSLATE_NOOP("Reasons", "{0} is no model of invdn")),
    (r"(.+) is damaged \(its SHA-256 .*", QT_TRANSLATE_NOOP("Reasons", "the model {0} is damaged:"
                                                          " install invdn anew")),
    (
        r"(.+) has a malformed description: (.+)",
        QT_TRANSLATE_NOOP("Reasons", "the description of the model {0} is malformed: {1}"),
    ),
    (r"(.+) is malformed: (.+)", QT_TRANSLATE_NOOP("Reasons", "{0} is malformed: {1}")),
    (
        r"there is no support for (\S+) here \((.+)\): (.+)",
        QT_TRANSLATE_NOOP("Reasons", "{0} is not installed here ({1}); what helps: {2}"),
    ),
    (
        r"there is no support for (\S+) here: (.+)",
        QT_TRANSLATE_NOOP("Reasons", "{0} is not installed here; what helps: {1}"),
    ),
    (
        r"(.+) does not work here: its driver or its libraries are missing",
        QT_TRANSLATE_NOOP("Reasons", "{0} does not work here: its driver or its libraries are"
                                     " missing"),
    ),
    (
        r"(.+) does not work on (.+): bad output",
        QT_TRANSLATE_NOOP("Reasons", "the model {0} gives nonsense on {1}"),
    ),
    (
        r"the image has pixels that are not finite numbers .*",
        QT_TRANSLATE_NOOP("Reasons", "it has pixels that are not finite numbers (NaN or"
                                     " infinity)"),
    ),
    (
        r"float32 pixels must be in \[0, 1\], and these go from (.+) to (.+): .*",
        QT_TRANSLATE_NOOP("Reasons", "its values go from {0} to {1}: scale them to 0 to 1 first"),
    ),
    (
        r"cannot read (?:the model )?(.+): (.+)",
        QT_TRANSLATE_NOOP("Reasons", "{0} cannot be read: {1}"),
    ),
    (
        r"(.+) failed on a tile of (.+) pixels on (.+?): (.+)",
        QT_TRANSLATE_NOOP("Reasons", "the model {0} failed on {2}: {3}"),
    ),
    (
        r"(.+) has no strength: .*",
        QT_TRANSLATE_NOOP("Reasons", "the model {0} knows no strength but 100 %"),
    ),
    (
        r"was changed while it was worked on: .*",
        QT_TRANSLATE_NOOP("Reasons", "it was changed while it was worked on: run it again"),
    ),
    (
        r"(.+) has changed since it was opened",
        QT_TRANSLATE_NOOP("Reasons", "{0} has changed since it was opened: open it again"),
    ),
    (
        r"its first picture is a thumbnail, .*",
        QT_TRANSLATE_NOOP("Reasons", "its first picture is only a thumbnail: export it as an"
                                     " ordinary TIFF"),
    ),
    (
        r"has a channel besides its colours .*",
        QT_TRANSLATE_NOOP("Reasons", "it has a channel that is no transparency: save it without"
                                     " that one"),
    ),
    (
        r"its colours were multiplied by .*",
        QT_TRANSLATE_NOOP("Reasons", "its colours are no longer multiplied by its transparency"),
    ),
    (
        r"its colour profile is not for its pixels .*",
        QT_TRANSLATE_NOOP("Reasons", "its colour profile is not for its pixels: it is left out"),
    ),
    (
        r"only (.+) holds in numbers how .*",
        QT_TRANSLATE_NOOP("Reasons", "only {0} can hold how its colours are meant: they change"),
    ),
    (
        r"the EXIF data makes no sense .*",
        QT_TRANSLATE_NOOP("Reasons", "the camera data makes no sense: it is left out"),
    ),
    (
        r"the XMP data does not fit .*",
        QT_TRANSLATE_NOOP("Reasons", "the XMP data does not fit into a JPEG: it is left out"),
    ),
    (
        r"what else the file holds is left out: .*",
        QT_TRANSLATE_NOOP("Reasons", "what else the file holds is left out: it may be a gain map, a"
                                     " depth map or a video"),
    ),
    (
        r"(.+) holds at most (.+) pixels a side: .*",
        QT_TRANSLATE_NOOP("Reasons", "{0} holds at most {1} pixels a side: choose another format"),
    ),
    (r"it crashed its decoder \((.+)\)", QT_TRANSLATE_NOOP("Reasons", "its decoder crashed ({0})")),
    (r"exit status (\d+)", QT_TRANSLATE_NOOP("Reasons", "exit status {0}")),
    (
        r"the system ended the work on it, .*",
        QT_TRANSLATE_NOOP("Reasons", "the system ended the work on it, probably for want of"
                                     " memory"),
    ),
    (
        r"the system ended it, .*",
        QT_TRANSLATE_NOOP("Reasons", "the system ended it, probably for want of memory: close other"
                                     " programs"),
    ),
    (
        r"reading or writing it did not end within (.+) s",
        QT_TRANSLATE_NOOP("Reasons", "reading or writing it did not end within {0} s"),
    ),
    (
        r"the work on it went silent and did not end",
        QT_TRANSLATE_NOOP("Reasons", "the work on it did not end"),
    ),
    (
        r"the working process does not start \((.+)\)",
        QT_TRANSLATE_NOOP("Reasons", "the process that works on the photos does not start ({0})"),
    ),
    (
        r"unexpected error, please report it: (.+)",
        QT_TRANSLATE_NOOP("Reasons", "unexpected error, please report it: {0}"),
    ),
    (r"(/[^:]*|[a-z]:[\\/][^:]*): (.+)", QT_TRANSLATE_NOOP("Reasons", "{0}: {1}")),
)  # fmt: skip


def translated_reason(reason: str) -> str:
    """A sentence of the engine in the window's language, or as it is where it is a rare one."""
    for pattern, sentence in _REASONS:
        match = re.fullmatch(pattern, reason, re.IGNORECASE)
        if match:
            # Often the reason of a reason is the last part of a sentence.
            parts = [translated_reason(part) for part in match.groups()]
            return QCoreApplication.translate("Reasons", sentence).format(*parts)
    return reason
