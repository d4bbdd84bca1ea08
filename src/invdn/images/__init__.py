"""Read and write photos: pixels for the network, and all else kept as it was.

    photo = read(path)                                   # or PhotoError, with one clear line
    photo = replace(photo, pixels=denoiser(photo.pixels))
    write(photo, output)                                 # atomically; never over an existing file

What is kept: bit depth, alpha, ICC profile (byte for byte), EXIF (byte for byte, see
`invdn.metadata`), XMP, IPTC, resolution, orientation, JPEG quality and chroma subsampling. What is
dropped: thumbnails, which would show the photo as it was, and further pictures and videos in the
file. What changes is told in notices.

Orientation: pixels stay as they are stored and the Orientation tag stays beside them, which is
lossless and is what the camera meant. Only when the file format changes are the pixels turned
upright and the tag set to 1, because few viewers look for the tag in PNG and WebP. AVIF, HEIC and
camera raw come upright from their decoders, with the tag set to 1.

To denoise a photo as its colour profile wants it, see `invdn.restore`.
"""

from invdn.images.atomic import InWorkError, atomically, is_empty_file, remove_strays, scratch
from invdn.images.colour import to_srgb
from invdn.images.fit import as_rgb8, on_white, to_depth, turned_upright, without_metadata
from invdn.images.photo import (
    CHANGED,
    EXISTS,
    FULL,
    IN_WORK,
    LABELS,
    MADE,
    MAX_PIXELS,
    NO_SUCH_FILE,
    RAW_SUFFIXES,
    SUFFIXES,
    UNSUPPORTED_SUFFIXES,
    WRITABLE,
    ExistsError,
    FolderError,
    JpegFacts,
    Photo,
    PhotoError,
    Pixels,
    format_of,
    missing_extra,
    reason,
)
from invdn.images.reading import OpenPhoto, Region, opened, read, read_small
from invdn.images.writing import copy, write

__all__ = [
    "CHANGED",
    "EXISTS",
    "FULL",
    "IN_WORK",
    "LABELS",
    "MADE",
    "MAX_PIXELS",
    "NO_SUCH_FILE",
    "RAW_SUFFIXES",
    "SUFFIXES",
    "UNSUPPORTED_SUFFIXES",
    "WRITABLE",
    "ExistsError",
    "FolderError",
    "InWorkError",
    "JpegFacts",
    "OpenPhoto",
    "Photo",
    "PhotoError",
    "Pixels",
    "Region",
    "as_rgb8",
    "atomically",
    "copy",
    "format_of",
    "is_empty_file",
    "missing_extra",
    "on_white",
    "opened",
    "read",
    "read_small",
    "reason",
    "remove_strays",
    "scratch",
    "to_depth",
    "to_srgb",
    "turned_upright",
    "without_metadata",
    "write",
]
