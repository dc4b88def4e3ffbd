"""One run at a time in a folder: a lock on a file in it, which the system takes back however the process ends."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

from ..errors import InputError

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


class Lock:
    """Held from its making until `release` or the end of the process. A folder that another process holds is refused.

    refusal says why nothing could be locked, as on some network file systems; else it is empty.
    """

    def __init__(self, folder: Path):
        self.refusal = ""
        try:
            self._stream = open(folder / LOCK, "a+", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise InputError(f"{folder}: can't be written: {error.strerror}") from error
        try:
            self._take(folder)
        except BaseException:
            self.release()
            raise

    def _take(self, folder: Path) -> None:
        if fcntl is None:
            self.refusal = "this system has no file locks"
            return
        try:
            # Unlike flock, this is not inherited: workers that are about to die with their parent hold nothing.
            fcntl.lockf(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                self.refusal = error.strerror or str(error)
                return
            self._stream.seek(0)
            holder = " ".join(self._stream.read(200).split()) or "another process"
            raise InputError(f"{folder}: in use by {holder}; expected a folder of this run's own") from error
        # For the message above; the lock does not need it, nor room on the disk.
        with suppress(OSError):
            os.truncate(self._stream.fileno(), 0)
            os.write(self._stream.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Let others in. The file stays: one that is taken away could be locked by two."""
        self._stream.close()
