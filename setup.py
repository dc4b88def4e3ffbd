"""Build the Cython kernels of csrc/qbitsat/_kernels on all cores, or MAX_JOBS of them. QBITSAT_DEBUG=1 builds them with bounds checks.

What was built in a clone is built again only if it changed, by whatever command: folders stay in build/.
"""

import copy
import multiprocessing
import os
import sys
from pathlib import Path

from Cython import __version__ as cython_version
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("QBITSAT_DEBUG") == "1"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
JOBS = int(os.environ.get("MAX_JOBS") or CORES)
ROOT, BUILD = Path("csrc/qbitsat/_kernels"), Path("build/cython")
# What all kernels need of memoryviews, once and not in each of them: half of all C code that there would be.
SHARED = "qbitsat._kernels.cyutility"

# Debug symbols cost a fifth of the time and three quarters of the size.
OPTIMISED = ["/Ox"] if os.name == "nt" else ["-O1", "-g"] if DEBUG else ["-O3", "-g0"]
# Sums of floats may be reordered for vector instructions where they only suggest: in the room of that name, and in no other.
FLOATS = [] if os.name == "nt" else ["-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math"]
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "embedsignature": True,
}
# How the kernels were built last. Times of files decide what is built again; this one's changes with the settings only.
SETTINGS = Path("build/settings.txt")


class BuildKernels(build_ext):
    """Leaves the kernels in the source tree too: in a clone, Python finds the folder qbitsat/ before the installed package."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or JOBS
        if self.editable_mode:  # not into a folder that is deleted after it
            platform = f"{self.plat_name}-{sys.implementation.cache_tag}"
            self.build_lib, self.build_temp = f"build/lib.{platform}", f"build/temp.{platform}"

    def run(self):
        sources = {made.name: made.sources for made in as_c(self.extensions)}
        for kernel in self.extensions:
            kernel.sources = sources[kernel.name]
        in_source = self.inplace
        super().run()
        if not in_source and os.access("qbitsat", os.W_OK):
            self.copy_extensions_to_source()


def as_c(kernels):
    """The kernels as C code. Files that come out as they were keep their times: a new copy of Cython is newer than any of them."""
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in BUILD.rglob("*.c")}
    made = cythonize(
        [copy.copy(kernel) for kernel in kernels],
        include_path=["csrc"],
        build_dir=BUILD.as_posix(),
        force=settings_changed(),
        # Where processes do not fork, they would begin with this file.
        nthreads=JOBS if multiprocessing.get_start_method() == "fork" else 0,
        shared_utility_qualified_name=SHARED,
        compiler_directives=DIRECTIVES,
    )
    for path, (content, time) in before.items():
        if path.read_bytes() == content:
            os.utime(path, ns=(time, time))
    return made


def settings_changed():
    """Write down the settings; whether they are others than before."""
    settings = f"Cython {cython_version}\n{OPTIMISED}\n{FLOATS}\n{DIRECTIVES}\n{SHARED}\n"
    if SETTINGS.exists() and SETTINGS.read_text() == settings:
        return False
    SETTINGS.parent.mkdir(exist_ok=True)
    SETTINGS.write_text(settings)
    return True


def sources(kernel):
    """A kernel, and the loops in C behind it: its name and _loops.c, or more between. Cython writes a file of the name alone."""
    return [source.as_posix() for source in (kernel, *sorted(kernel.parent.glob(f"{kernel.stem}_*loops.c")))]


def extension(kernel):
    room = kernel.parent
    flags = OPTIMISED + (FLOATS if room.name == "suggest" else [])
    rooms = dict.fromkeys((room, ROOT / "exact", ROOT))  # suggestions are about the layers of the exact room
    depends = [header.as_posix() for part in rooms for header in sorted(part.glob("*.h"))] + [SETTINGS.as_posix()]
    name = f"qbitsat._kernels.{room.name}.{kernel.stem}"
    return Extension(name, sources(kernel), include_dirs=[part.as_posix() for part in rooms], depends=depends, extra_compile_args=flags)


if __name__ == "__main__":
    # Those that take longest come first, so that no core is left with the last of them alone.
    kernels = sorted(ROOT.glob("*/*.pyx"), key=lambda kernel: (-len(sources(kernel)), -kernel.stat().st_size))
    if not kernels:
        raise SystemExit("setup.py: no kernels in csrc/qbitsat/_kernels; build in the root of the sources")
    shared = Extension(SHARED, [(ROOT / "cyutility.c").as_posix()], depends=[SETTINGS.as_posix()], extra_compile_args=OPTIMISED)
    setup(cmdclass={"build_ext": BuildKernels}, ext_modules=[*map(extension, kernels), shared])
