"""Build the Cython kernels of csrc/qbitsat. QBITSAT_DEBUG=1 builds them with bounds checks."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("QBITSAT_DEBUG") == "1"
KERNELS = sorted(Path("csrc/qbitsat").glob("*.pyx"))

extensions = [
    Extension(
        f"qbitsat.{path.stem}",
        [path.as_posix()],
        extra_compile_args=["/Ox"] if os.name == "nt" else (["-O1", "-g"] if DEBUG else ["-O3"]),
    )
    for path in KERNELS
]

setup(
    # Leave the kernels in the source tree too: in a clone, Python finds the folder qbitsat/ before the installed package.
    options={"build_ext": {"inplace": True}},
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
    )
)
