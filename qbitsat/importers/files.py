"""Opening, naming faults in, and writing files; the same for every format."""

from __future__ import annotations

import io
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from ..errors import InputError, UnsupportedError, expect_kind

Path = str | os.PathLike[str]

# What one file may make us hold, in bytes; a tensor counts 8 bytes an element, as it ends as int64.
MAX_BYTES = 1 << 30
MAX_ELEMENTS = MAX_BYTES // 8

SHOWN_OUTPUTS = 8

OPEN_FILES = "/proc/self/fd"


def one_line(error: BaseException) -> str:
    """The message of a foreign error, or its kind if it has none, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def check_path(path: object) -> None:
    """Refuse what is no file's name: numbers would be open files."""
    expect_kind(path, (str, os.PathLike), "path", "the name of a file, a str or a Path")


def split_name(path: Path) -> tuple[Path, str | None]:
    """File and part of a path as in `file.npz:x_test`; None for a path that is a file as it stands, or where there is no such file."""
    text = os.fspath(path)
    if not os.path.exists(text):
        for i in (i for i in reversed(range(len(text))) if text[i] == ":"):
            if os.path.isfile(text[:i]):
                return text[:i], text[i + 1 :]
    return path, None


def choose_output(names: Sequence[str], wanted: str | None, path: Path) -> int:
    """Which of a model's outputs is meant: the only one, or that of a path as in `model.tflite:NAME`, by its name or number."""
    if wanted is None and len(names) == 1:
        return 0
    if wanted in names:
        return names.index(wanted)
    if wanted is not None and wanted.isascii() and wanted.isdecimal() and len(wanted) < 10 and int(wanted) < len(names):
        return int(wanted)
    there = ", ".join(f"{i} {name[:40]!r}" for i, name in enumerate(names[:SHOWN_OUTPUTS]))
    fault = f"{len(names)} outputs" if wanted is None else f"has no output {wanted[:40]!r}"
    raise InputError(f"{path}: {fault}, expected one of {there}, by its name or number: {path if wanted is None else 'MODEL'}:0")


def open_input(path: Path) -> BinaryIO:
    """The file opened for reading bytes; pipes and devices are refused, their length can't be known beforehand."""
    check_path(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError(f"{path}: not a regular file")
        return io.BufferedReader(_Reading(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read: {getattr(error, 'strerror', None) or one_line(error)}") from error


class _Reading(io.FileIO):
    """A file whose device may fail at any read, as a disk or a network does: that is bad input."""

    def readinto(self, buffer: Any) -> int | None:
        with self._failing():
            return super().readinto(buffer)

    def readall(self) -> bytes:
        with self._failing():
            return super().readall()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"{self.name}: can't be read: {error.strerror or one_line(error)}") from error


def size_of(stream: BinaryIO) -> int:
    """Length in bytes of a seekable stream, which is rewound."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Put the place in front of the message of an `InputError` or `UnsupportedError` that does not know it."""
    try:
        yield
    except (InputError, UnsupportedError) as error:
        kind = UnsupportedError if isinstance(error, UnsupportedError) else InputError
        raise kind(f"{place}: {error}") from error


@contextmanager
def damaged(place: str, what: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn the errors that a library raises on bytes it can't read into an `InputError`."""
    try:
        yield
    except errors as error:
        raise InputError(f"{place}: damaged {what}: {one_line(error)}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write all or nothing."""
    with replacing(path) as stream:
        stream.write(data)


@contextmanager
def replacing(path: Path, sync: bool = True) -> Iterator[BinaryIO]:
    """A stream of bytes that become the file when this is left without an exception; all or nothing, also if the process is killed.

    Until then they have no name, on Linux, and else one that ends in .partial. With `sync` they have reached the disk by then.
    """
    # Writing through a symbolic link changes the file it points to, as an ordinary write does.
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        raise InputError(f"{path}: can't be written: not a regular file")
    partial = f"{target}.{secrets.token_hex(4)}.partial"
    try:
        nameless = _nameless(os.path.dirname(target))
        with nameless or open(partial, "xb") as stream:
            yield stream
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
            if nameless:
                _name(stream.fileno(), partial)
        os.replace(partial, target)
    except OSError as error:
        raise InputError(f"{path}: can't be written: {error.strerror or one_line(error)}") from error
    finally:
        with suppress(OSError):
            os.unlink(partial)


def _nameless(folder: str) -> BinaryIO | None:
    """A new file in the folder that vanishes with the process unless it is linked; None where the system has none."""
    try:
        if os.path.isdir(OPEN_FILES):
            return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb")
    except (AttributeError, OSError):
        pass
    return None


def _name(number: int, path: str) -> None:
    """Give an open file without a name one."""
    files = os.open(OPEN_FILES, os.O_RDONLY)
    try:
        # Without a folder for the source, Python calls link, which would link the symbolic link.
        os.link(str(number), path, src_dir_fd=files, follow_symlinks=True)
    finally:
        os.close(files)
