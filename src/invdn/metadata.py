"""EXIF and IPTC as bytes: kept as the camera wrote them, and put into each file format.

libvips can carry EXIF, but it parses it and writes it anew with libexif, and maker notes do not
survive that: of a Nikon D800's 37,904 bytes 13,128 came out. And libvips neither reads nor
writes the EXIF of TIFF files, and reads a quarter of their IPTC. So EXIF goes around libvips: it
is taken as one *block* (a small TIFF file, without the "Exif\\0\\0" that JPEG puts before it),
patched in place where it has to change, and put into the finished file.

Everything here is forgiving: a damaged block must never cost anybody a photo, so what cannot be
understood is left as it is, or left out.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import BinaryIO

# Tags of the TIFF structure, by their names in the EXIF and TIFF 6.0 specifications.
ORIENTATION = 0x0112
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
EXTRA_SAMPLES, SUBFILE_TYPE, SUB_IFDS = 0x0152, 0x00FE, 0x014A
BITS_PER_SAMPLE = 0x0102
THUMBNAIL_OFFSET, THUMBNAIL_LENGTH = 0x0201, 0x0202
EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
PIXEL_WIDTH, PIXEL_HEIGHT = 0xA002, 0xA003
MAKER_NOTE = 0x927C
DNG_VERSION = 0xC612
XMP, IPTC = 0x02BC, 0x83BB

# What describes the photo rather than the layout of the file it lies in; the rest of a TIFF
# file's first directory must not be copied. (XMP, IPTC and ICC are there too: libvips does those.)
# fmt: off
_DESCRIPTIVE = frozenset([
    0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0129,  # document, description, make, model, page
    ORIENTATION, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298,  # software, date, artist, host, copyright
    0x4746, 0x4749, *range(0x9C9B, 0x9CA0),  # ratings, and Windows' title, comment, author, ...
    0x830E, 0x8482, 0x85D8, 0x87AF, 0x87B0, 0x87B1, 0xA480, 0xA481,  # GeoTIFF, and GDAL's
    0xC4A5,  # PrintIM
    0x882A, 0x9213, 0xA420, 0xC614, 0xC615, 0xC62F,  # time zone, history, ID, the camera's names
    0xC630, 0xC68B, 0xC7A1,  # lens, the raw file's name, the camera's label
    EXIF_IFD, GPS_IFD,
])
# fmt: on
_POINTERS = (EXIF_IFD, GPS_IFD, INTEROP_IFD)

# For each TIFF field type the bytes of one value, and of the unit whose bytes swap.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BIG_SIZES = {16: 8, 17: 8, 18: 8}  # only in BigTIFF: offsets and numbers of 64 bits
SIZES |= _BIG_SIZES
_SWAP_UNITS = SIZES | {5: 4, 10: 4}


@dataclass(frozen=True)
class _Form:
    """How a TIFF structure writes numbers: their byte order, and 64 bits for offsets or 32."""

    order: str
    """`struct`'s sign."""
    big: bool = False
    """BigTIFF, for files of more than 4 GB."""

    @property
    def offset(self) -> str:
        """`struct`'s format of an offset, and of a row's number of values."""
        return self.order + ("Q" if self.big else "I")

    @property
    def count(self) -> str:
        """`struct`'s format of a directory's number of rows."""
        return self.order + ("Q" if self.big else "H")

    @property
    def word(self) -> int:
        """Bytes of an offset, and of a value that stands in its row."""
        return 8 if self.big else 4

    @property
    def count_size(self) -> int:
        return 8 if self.big else 2

    @property
    def row_size(self) -> int:
        return 4 + 2 * self.word

    @property
    def start(self) -> int:
        """Where the offset of the first directory is noted."""
        return 8 if self.big else 4


_CLASSIC = _Form("<")

# TIFF's own marks, and those of raw files that are TIFF but for these (Olympus, Panasonic).
_FORMS = {
    b"II*\0": _CLASSIC,
    b"MM\0*": _Form(">"),
    b"II+\0": _Form("<", big=True),
    b"MM\0+": _Form(">", big=True),
    b"IIRO": _CLASSIC,
    b"IIRS": _CLASSIC,
    b"MMOR": _Form(">"),
    b"IIU\0": _CLASSIC,
}

_EXIF_MARK = b"Exif\0\0"
_MAX_COPIED = 1 << 24  # bytes of values: cameras write a hundredth, only hostile files more
_MAX_RESOLUTION = 65535  # an inch or a centimetre; more makes no sense
_JPEG_SEGMENT_MAX = 65535 - 2  # its length is 16 bits and counts itself
XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
_PHOTOSHOP_MARK = b"Photoshop 3.0\0"
_IPTC_RESOURCE = 0x0404
_THUMBNAIL_RESOURCES = (0x0409, 0x040C)

_Bytes = bytes | bytearray | mmap


@dataclass(frozen=True)
class _Entry:
    """One field of a directory; `start` is where its value's bytes are in the whole block."""

    tag: int
    kind: int
    count: int
    start: int

    @property
    def size(self) -> int:
        return SIZES.get(self.kind, 0) * self.count


@dataclass(frozen=True)
class _Value:
    """A field by itself: its TIFF type, and its bytes in little-endian order."""

    kind: int
    data: bytes


_Directory = dict[int, "_Value | _Directory"]


# --- patching a block in place -------------------------------------------------------------------


def block_of(exif_data: bytes) -> bytes:
    """The block in an "Exif" chunk, with or without JPEG's mark in front."""
    return exif_data.removeprefix(_EXIF_MARK)


def without_thumbnail(block: bytes) -> bytes:
    """The block without its thumbnail, which shows the photo as it was; else byte for byte."""
    form = _form(block)
    if form is None:
        return block
    patched = bytearray(block)
    second, link = _next_directory(block, form, _directory_offset(block, form, 0))
    if not second:
        return block
    struct.pack_into(form.offset, patched, link, 0)  # no second directory any more
    found = {entry.tag: entry for entry in _entries(block, form, second)}
    if THUMBNAIL_OFFSET in found and THUMBNAIL_LENGTH in found:
        start = _number(block, form, found[THUMBNAIL_OFFSET])
        end = start + _number(block, form, found[THUMBNAIL_LENGTH])
        if 8 <= start <= end == len(block):
            del patched[start:]
        elif 8 <= start <= end < len(block):  # moving what follows would break offsets
            patched[start:end] = bytes(end - start)
    return bytes(patched)


def orientation_of(block: bytes) -> int:
    """The Orientation that the block says, 1–8."""
    form = _form(block)
    for entry in _directory(block, 0):
        if form is not None and entry.tag == ORIENTATION:
            value = _number(block, form, entry)
            return value if 1 <= value <= 8 else 1
    return 1


def resolution_of(block: bytes) -> tuple[float, float] | None:
    """Pixels a millimetre, horizontally and vertically, if the block says it."""
    form = _form(block)
    if form is None:
        return None
    fields = {entry.tag: entry for entry in _directory(block, 0)}
    unit = fields.get(RESOLUTION_UNIT)
    per_mm = {2: 25.4, 3: 10.0}.get(2 if unit is None else _number(block, form, unit))
    sides = []
    for tag in (X_RESOLUTION, Y_RESOLUTION):
        if tag not in fields or fields[tag].kind != 5 or per_mm is None:
            return None
        top, bottom = struct.unpack_from(form.order + "II", block, fields[tag].start)
        if not (bottom and 0 < top / bottom < _MAX_RESOLUTION):
            return None
        sides.append(top / bottom / per_mm)
    return sides[0], sides[1]


def upright(block: bytes, *, swap_sides: bool) -> bytes:
    """The block saying "as stored" (Orientation 1), with the pixel sizes swapped if asked for."""
    form = _form(block)
    if form is None:
        return block
    patched = bytearray(block)
    fields = {entry.tag: entry for entry in _directory(block, 0)}
    if ORIENTATION in fields:
        _set_number(patched, form, fields[ORIENTATION], 1)
    if swap_sides and EXIF_IFD in fields:
        inner = _entries(block, form, _number(block, form, fields[EXIF_IFD]))
        sides = {entry.tag: entry for entry in inner}
        if PIXEL_WIDTH in sides and PIXEL_HEIGHT in sides:
            width, height = (_number(block, form, sides[t]) for t in (PIXEL_WIDTH, PIXEL_HEIGHT))
            _set_number(patched, form, sides[PIXEL_WIDTH], height)
            _set_number(patched, form, sides[PIXEL_HEIGHT], width)
    return bytes(patched)


def pixel_sides(block: bytes) -> tuple[int, int] | None:
    """The width and the height that the block gives for the picture."""
    form = _form(block)
    if form is None:
        return None
    fields = {entry.tag: entry for entry in _directory(block, 0)}
    if EXIF_IFD not in fields:
        return None
    inner = _entries(block, form, _number(block, form, fields[EXIF_IFD]))
    sides = {entry.tag: entry for entry in inner}
    if PIXEL_WIDTH not in sides or PIXEL_HEIGHT not in sides:
        return None
    width, height = (_number(block, form, sides[tag]) for tag in (PIXEL_WIDTH, PIXEL_HEIGHT))
    return width, height


def xmp_upright(xmp: bytes) -> bytes:
    """XMP whose copy of the orientation, if it has one, says 1."""
    pattern = rb"""(tiff:Orientation(?:\s*=\s*["']|\s*>\s*))[2-8](?=\s*["'<])"""
    return re.sub(pattern, rb"\g<1>1", xmp)


def xmp_without_thumbnails(xmp: bytes) -> bytes:
    """XMP without the pictures in it, which would show the photo as it was."""
    return _without_elements(xmp, rb"\w+:Thumbnails")


def xmp_without_others(xmp: bytes) -> bytes:
    """XMP that does not promise what is no longer in the file: a gain map, a video."""
    names = (
        rb"G?Container:Directory|(?:hdrgm|HDRGainMap):\w+|G?Camera:(?:MotionPhoto|MicroVideo)\w*"
    )
    # One blank before the name and no more: from each of a long row the search would begin anew.
    attributes = rb"\s(?:" + names + rb")\s*=\s*(?:\"[^\"]*\"|'[^']*')"
    return re.sub(attributes, b"", _without_elements(xmp, names))


def _without_elements(xmp: bytes, names: bytes) -> bytes:
    """XMP without the elements whose names match, and all in them."""
    kept, place = [], 0
    # Known beforehand, so that no search is in vain: hostile texts have thousands never closed.
    last = {each[1]: each.start() for each in re.finditer(rb"</(" + names + rb")\s*>", xmp)}
    for opening in re.finditer(rb"<(" + names + rb")(?=[\s>])", xmp):
        if opening.start() < place or last.get(opening[1], 0) < opening.end():
            continue
        closing = re.compile(rb"</" + opening[1] + rb"\s*>\s*").search(xmp, opening.end())
        assert closing is not None
        kept.append(xmp[place : opening.start()])
        place = closing.end()
    return b"".join((*kept, xmp[place:]))


# --- EXIF into finished files --------------------------------------------------------------------


def fits_jpeg(block: bytes) -> bool:
    return len(block) + len(_EXIF_MARK) <= _JPEG_SEGMENT_MAX


def xmp_fits_jpeg(xmp: bytes) -> bool:
    return len(xmp) + len(XMP_MARK) <= _JPEG_SEGMENT_MAX


def fits_tiff(block: bytes) -> bool:
    """Whether the block says anything that `into_tiff` could write."""
    return any(_descriptive(block).values())


def in_inches(pixels_per_mm: tuple[float, float]) -> bool:
    """Whether a resolution was meant in dots an inch rather than a centimetre: as whole numbers."""
    per_inch = [per_mm * 25.4 for per_mm in pixels_per_mm]
    per_cm = [per_mm * 10 for per_mm in pixels_per_mm]
    off_inch, off_cm = (sum(abs(v - round(v)) for v in sides) for sides in (per_inch, per_cm))
    return off_inch <= off_cm + 0.02  # PNG's whole dots a metre are not exact


def with_density(jpeg: bytes, pixels_per_mm: tuple[float, float] | None) -> bytes:
    """A JPEG file with a JFIF header that says the resolution, or that none is known.

    libvips leaves that header out where it writes no EXIF.
    """
    version, unit, dots, no_thumbnail = 0x0102, 0, [1, 1], 0
    if pixels_per_mm is not None:
        unit, in_a_mm = (1, 25.4) if in_inches(pixels_per_mm) else (2, 10.0)
        dots = [round(per_mm * in_a_mm) for per_mm in pixels_per_mm]
        if not all(0 < each < 65536 for each in dots):
            unit, dots = 0, [1, 1]
    if jpeg[2:4] == b"\xff\xe0":
        return jpeg
    body = b"JFIF\0" + struct.pack(">HBHHH", version, unit, *dots, no_thumbnail)
    return jpeg[:2] + b"\xff\xe0" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


def into_jpeg(
    jpeg: bytes, block: bytes | None, xmp: bytes | None = None, extras: Iterable[bytes] = ()
) -> Iterator[bytes | memoryview]:
    """A JPEG file, in pieces, with the block and XMP as APP1 segments, after the JFIF header.

    extras: finished segments to put behind that.
    """
    at = 2
    if jpeg[2:4] == b"\xff\xe0":
        at = 4 + int.from_bytes(jpeg[4:6], "big")
    yield memoryview(jpeg)[:at]
    if block:
        body = _EXIF_MARK + block
        yield b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    if xmp:
        body = XMP_MARK + xmp
        yield b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    yield from extras
    yield memoryview(jpeg)[at:]


def into_png(
    png: bytes, block: bytes | None, extras: Iterable[bytes] = ()
) -> Iterator[bytes | memoryview]:
    """A PNG file, in pieces, with the block as its eXIf chunk, right after the header.

    extras: finished chunks to put behind that.
    """
    at = 8 + 25  # the signature, and IHDR, which is always first and always 25 bytes
    yield memoryview(png)[:at]
    if block:
        body = b"eXIf" + block
        yield len(block).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    yield from extras
    yield memoryview(png)[at:]


def without_resolution(png: bytes) -> bytes:
    """A PNG file's first chunks without the resolution that libvips makes up where none is."""
    at = 8
    while at + 8 <= len(png) and png[at + 4 : at + 8] != b"IDAT":
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == b"pHYs":
            return png[:at] + png[end:]
        at = end
    return png


def into_webp(
    webp: bytes, block: bytes, *, width: int, height: int, alpha: bool
) -> Iterator[bytes | memoryview]:
    """A WebP file, in pieces, with the block as its EXIF chunk, in the extended form."""
    exif_flag, alpha_flag = 0x08, 0x10
    if webp[12:16] == b"VP8X":
        header, rest = bytearray(webp[12:30]), memoryview(webp)[30:]
    else:
        canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        flags = alpha_flag if alpha else 0
        header = bytearray(b"VP8X" + struct.pack("<II", 10, flags) + canvas)
        rest = memoryview(webp)[12:]
    header[8] |= exif_flag
    chunk = b"EXIF" + len(block).to_bytes(4, "little") + block + bytes(len(block) % 2)
    size = len(b"WEBP") + len(header) + len(rest) + len(chunk)
    yield b"RIFF" + size.to_bytes(4, "little") + b"WEBP"
    yield bytes(header)
    yield rest
    yield chunk


def into_tiff(file: BinaryIO, block: bytes | None, iptc: bytes | None) -> bool:
    """Add what the block says, and IPTC, to a TIFF file that is open for reading and writing.

    The file's first directory is written again at its end, with the block's descriptive fields,
    its EXIF and GPS directories, and the IPTC; the pixels stay where they are. Maker notes are
    copied as they are: those that count their offsets from the start of the *camera's* file
    (Canon's) are then only found by tools that correct for that, as ExifTool does.

    Returns whether it could be done: not for a block that makes no sense.
    """
    fields = _descriptive(block) if block else {}
    if iptc:
        fields[IPTC] = _Value(7, iptc)
    file.seek(0)
    head = file.read(16)
    form = _form(head)
    if not fields or form is None or form.order != "<":
        return False
    (first,) = struct.unpack_from(form.offset, head, form.start)
    file.seek(first)
    (count,) = struct.unpack(form.count, file.read(form.count_size))
    rows = [file.read(form.row_size) for _ in range(count)]
    # A row holds either its value or the offset of it: both stay true where the row moves.
    kept = [row for row in rows if int.from_bytes(row[:2], "little") not in fields]
    end = file.seek(0, 2)
    end += file.write(bytes(-end % form.word))
    file.write(_serialise(fields, end, kept, form))
    file.seek(form.start)
    file.write(struct.pack(form.offset, end))
    return True


def from_tiff(data: mmap | bytes, page: int = 0) -> bytes | None:
    """The descriptive fields and the EXIF and GPS directories of a TIFF page, as a block."""
    return _as_block(_descriptive(data, page))


def joined(
    main: bytes | None, exif: bytes | None, maker_note: bytes | None, gps: bytes | None
) -> bytes | None:
    """One block of four TIFF structures, as Canon's CR3 files hold them.

    The maker note is kept whole as the structure that it is: its offsets count from its start.
    """
    fields = _descriptive(main) if main else {}
    for tag, part in ((EXIF_IFD, exif), (GPS_IFD, gps)):
        form = _form(part) if part else None
        if part and form:
            first = _directory_offset(part, form, 0)
            inner = _parse(part, form, first, depth=1, budget=_Budget())
            if tag == EXIF_IFD and maker_note:
                inner[MAKER_NOTE] = _Value(7, maker_note)
            if inner:
                fields[tag] = inner
    return _as_block(fields)


def iptc_from_tiff(data: mmap | bytes, page: int = 0) -> bytes | None:
    """The IPTC of a TIFF page."""
    return _bytes_of(data, page, IPTC)


def xmp_from_tiff(data: mmap | bytes, page: int = 0) -> bytes | None:
    """The XMP of a TIFF page."""
    return _bytes_of(data, page, XMP)


def _bytes_of(data: mmap | bytes, page: int, tag: int) -> bytes | None:
    for entry in _directory(data, page):
        if entry.tag == tag:
            return bytes(data[entry.start : entry.start + min(entry.size, _MAX_COPIED)])
    return None


def numbers_of(data: mmap | bytes, page: int, tag: int) -> list[int]:
    """The whole numbers of a field of a TIFF page's directory, up to a hundred; none if missing."""
    form = _form(data)
    for entry in _directory(data, page):
        if form is not None and entry.tag == tag and entry.kind in (1, 3, 4, 13, 16, 18):
            letters = form.order + _letter(entry) * min(entry.count, 100)
            return list(struct.unpack_from(letters, data, entry.start))
    return []


def mpf_kinds(block: bytes) -> list[int]:
    """The kinds of the pictures that a JPEG file's index of them lists (CIPA DC-007)."""
    form = _form(block)
    for entry in _directory(block, 0):
        if form is not None and entry.tag == 0xB002:
            places = range(entry.start, entry.start + entry.size - 15, 16)
            return [struct.unpack_from(form.order + "I", block, at)[0] & 0xFFFFFF for at in places]
    return []


def is_dng(data: mmap | bytes) -> bool:
    """Whether a TIFF file is a digital negative: camera raw, whatever its name."""
    return any(entry.tag == DNG_VERSION for entry in _directory(data, 0))


# --- IPTC ----------------------------------------------------------------------------------------


def iptc_for(target: str, iptc: bytes) -> bytes | None:
    """IPTC as JPEG ("jpeg") or as TIFF ("tiff") wants it, without Photoshop's thumbnail.

    JPEG has it among Photoshop's "image resources", TIFF has it bare; libvips copies the bytes
    from one to the other unchanged, where nobody then understands them.
    """
    if not iptc.startswith(_PHOTOSHOP_MARK):
        if target == "tiff":
            return iptc
        return _PHOTOSHOP_MARK + _resource(_IPTC_RESOURCE, b"\0\0", iptc)
    resources = list(_resources(iptc[len(_PHOTOSHOP_MARK) :]))
    if target == "tiff":
        return next((body for number, _, body in resources if number == _IPTC_RESOURCE), None)
    kept = [_resource(*r) for r in resources if r[0] not in _THUMBNAIL_RESOURCES]
    return _PHOTOSHOP_MARK + b"".join(kept) if kept else None


def photoshop_without_thumbnail(resources: bytes) -> bytes:
    """The image resources of a TIFF file without Photoshop's thumbnail."""
    kept = (r for r in _resources(resources) if r[0] not in _THUMBNAIL_RESOURCES)
    return b"".join(_resource(*r) for r in kept)


def _resources(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(number, padded name, body) of each of Photoshop's image resources."""
    at = 0
    while data[at : at + 4] == b"8BIM" and at + 12 <= len(data):
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        name_size = (1 + data[at + 6] + 1) & ~1
        body = at + 6 + name_size + 4
        size = int.from_bytes(data[body - 4 : body], "big")
        yield number, data[at + 6 : at + 6 + name_size], data[body : body + size]
        at = body + ((size + 1) & ~1)


def _resource(number: int, name: bytes, body: bytes) -> bytes:
    head = b"8BIM" + number.to_bytes(2, "big") + name + len(body).to_bytes(4, "big")
    return head + body + bytes(len(body) % 2)


# --- the TIFF structure --------------------------------------------------------------------------


def _form(data: _Bytes) -> _Form | None:
    """How a block, or a file that starts like one, writes numbers; None for what is no block."""
    form = _FORMS.get(bytes(data[:4]))
    return form if form and len(data) >= form.start + form.word else None


def _directory(data: _Bytes, page: int) -> list[_Entry]:
    """The entries of a page's directory."""
    form = _form(data)
    return list(_entries(data, form, _directory_offset(data, form, page))) if form else []


def _directory_offset(data: _Bytes, form: _Form, page: int) -> int:
    """Where the directory of a page is; 0 if there is none."""
    (at,) = struct.unpack_from(form.offset, data, form.start)
    for _ in range(page):
        at, _ = _next_directory(data, form, at)
    return int(at)


def _entries(data: _Bytes, form: _Form, at: int) -> Iterator[_Entry]:
    """The entries of the directory at an offset, without those that point outside the block."""
    if not 8 <= at <= len(data) - form.count_size:
        return
    (count,) = struct.unpack_from(form.count, data, at)
    first, size = at + form.count_size, form.row_size
    for row in range(first, min(first + size * count, len(data) - size + 1), size):
        tag, kind = struct.unpack_from(form.order + "HH", data, row)
        (values,) = struct.unpack_from(form.offset, data, row + 4)
        (start,) = struct.unpack_from(form.offset, data, row + 4 + form.word)
        in_row = SIZES.get(kind, 0) * values <= form.word
        entry = _Entry(tag, kind, values, row + 4 + form.word if in_row else start)
        if entry.size and entry.start + entry.size <= len(data):
            yield entry


def _next_directory(data: _Bytes, form: _Form, at: int) -> tuple[int, int]:
    """The offset of the directory after the one at `at` (0: none), and where that is noted."""
    if not 8 <= at <= len(data) - form.count_size:
        return 0, 0
    (count,) = struct.unpack_from(form.count, data, at)
    link = at + form.count_size + form.row_size * int(count)
    if link + form.word > len(data):
        return 0, 0
    return int(struct.unpack_from(form.offset, data, link)[0]), link


def _number(data: _Bytes, form: _Form, entry: _Entry) -> int:
    return int(struct.unpack_from(form.order + _letter(entry), data, entry.start)[0])


def _set_number(data: bytearray, form: _Form, entry: _Entry, value: int) -> None:
    letter = form.order + _letter(entry)
    if value < 256 ** struct.calcsize(letter):
        struct.pack_into(letter, data, entry.start, value)


def _letter(entry: _Entry) -> str:
    if entry.kind in _BIG_SIZES:
        return "Q"
    return {2: "H", 4: "I"}.get(SIZES[entry.kind], "B")


def _descriptive(data: _Bytes, page: int = 0) -> _Directory:
    form = _form(data)
    if form is None:
        return {}
    at = _directory_offset(data, form, page)
    return _parse(data, form, at, depth=0, budget=_Budget())


@dataclass
class _Budget:
    """What may still be copied from a file whose directories may share and repeat everything."""

    size: int = _MAX_COPIED


def _parse(data: _Bytes, form: _Form, at: int, depth: int, budget: _Budget) -> _Directory:
    """The fields of a directory: the outermost only the descriptive ones, the inner ones all."""
    fields: _Directory = {}
    for entry in _entries(data, form, at):
        if entry.tag in fields or (depth == 0 and entry.tag not in _DESCRIPTIVE):
            continue
        if entry.tag not in _POINTERS:
            if entry.kind in _BIG_SIZES:  # a block has no such numbers
                continue
            budget.size -= entry.size
            if budget.size < 0:
                break
            raw = bytes(data[entry.start : entry.start + entry.size])
            fields[entry.tag] = _Value(entry.kind, _little_endian(raw, entry.kind, form.order))
        elif depth < 2:  # interoperability lies in EXIF, which lies in the first: never deeper
            inner = _parse(data, form, _number(data, form, entry), depth + 1, budget)
            # Empty ones are kept, so that no pointer is followed twice; they are not written.
            fields[entry.tag] = inner
    return fields


def _as_block(fields: _Directory) -> bytes | None:
    return b"II*\0" + struct.pack("<I", 8) + _serialise(fields, 8) if fields else None


def _little_endian(raw: bytes, kind: int, order: str) -> bytes:
    unit = _SWAP_UNITS[kind]
    if order == "<" or unit == 1:
        return raw
    return b"".join(raw[at : at + unit][::-1] for at in range(0, len(raw), unit))


def _serialise(
    fields: _Directory, at: int, ready: list[bytes] | None = None, form: _Form = _CLASSIC
) -> bytes:
    """A directory that will lie at the offset `at`, with its values, little-endian.

    `ready` are finished rows to put among them.
    """
    fields = {tag: value for tag, value in fields.items() if value}
    rows = list(ready or [])
    values = bytearray()
    start = at + form.count_size + form.row_size * (len(fields) + len(rows)) + form.word
    pointer = 18 if form.big else 4
    head, offset = "<HH" + form.offset[1:], form.offset
    for tag, value in fields.items():
        where = start + len(values)
        if isinstance(value, dict):
            rows.append(struct.pack(head, tag, pointer, 1) + struct.pack(offset, where))
            values += _serialise(value, where, form=form)
        else:
            count = len(value.data) // SIZES[value.kind]
            in_row = len(value.data) <= form.word
            place = value.data.ljust(form.word, b"\0") if in_row else struct.pack(offset, where)
            rows.append(struct.pack(head, tag, value.kind, count) + place)
            values += b"" if in_row else value.data
        values += bytes(-len(values) % form.word if form.big else len(values) % 2)
    rows.sort(key=lambda row: int.from_bytes(row[:2], "little"))
    count_bytes = struct.pack(form.count, len(rows))
    return count_bytes + b"".join(rows) + bytes(form.word) + bytes(values)
