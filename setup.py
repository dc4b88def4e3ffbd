"""Build the Cython kernels of csrc/qbitsat. QBITSAT_DEBUG=1 builds them with bounds checks."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("QBITSAT_DEBUG") == "1"
KERNELS = sorted(Path("csrc/qbitsat").glob("*.pyx"))
if not KERNELS:
    raise SystemExit("setup.py: no kernels in csrc/qbitsat; build in the root of the sources")


class BuildEverywhere(build_ext):
    """Leaves the kernels in the source tree too: in a clone, Python finds the folder qbitsat/ before the installed package."""

    def run(self):
        in_source = self.inplace
        super().run()
        if not in_source and os.access("qbitsat", os.W_OK):
            self.copy_extensions_to_source()


# Sums of floats may be reordered for vector instructions: they only suggest.
FLOATS = [] if os.name == "nt" else ["-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math"]

extensions = [
    Extension(
        f"qbitsat.{path.stem}",
        [path.as_posix(), *(source.as_posix() for source in [path.with_name(path.stem[1:] + ".c")] if source.exists())],
        include_dirs=["csrc/qbitsat"],
        # Headers named lrat are of that kernel alone.
        depends=[h.as_posix() for h in Path("csrc/qbitsat").glob("*.h") if h.stem.startswith("lrat") == (path.stem == "_lrat")],
        extra_compile_args=(["/Ox"] if os.name == "nt" else ["-O1", "-g"] if DEBUG else ["-O3"])
        + (FLOATS if path.stem in ("_ascent", "_simplex", "_walk") else []),
    )
    for path in KERNELS
]

setup(
    cmdclass={"build_ext": BuildEverywhere},
    ext_modules=cythonize(
        extensions,
        include_path=["csrc"],
        build_dir="build/cython",
        nthreads=0,
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "initializedcheck": DEBUG,
            "cdivision": True,
            "embedsignature": True,
        },
    ),
)
