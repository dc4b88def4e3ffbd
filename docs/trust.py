"""The table of docs/reference/trust.md: every file of ours that `check` rests on, and how many lines it has."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "qbitsat"
BEGIN, END = "<!-- sizes -->\n", "<!-- /sizes -->\n"

# What rests on which files.
GROUPS = {
    "any verdict": [
        *(f"certificate/{name}.py" for name in ("check", "reading", "networks", "inference", "products")),
        *("errors.py", "limits.py", "threads.py"),
        *(f"arithmetic/{name}.py" for name in ("rounding", "requantizers", "scaled", "floating", "table")),
        *(
            "network/accumulating.py",
            "network/affine.py",
            "network/layers.py",
            "network/convolution.py",
            "network/network.py",
            "network/tensor.py",
            "network/names.py",
            "network/reference.py",
        ),
        *(f"properties/{name}.py" for name in ("query", "formula", "region", "robustness", "balls", "gap", "made")),
        *(f"importers/{name}.py" for name in ("__init__", "files", "npy", "json_header", "qbitsat_file", "qbitsat_layers")),
    ],
    "and HOLDS by bounds or search": [f"certificate/{name}.py" for name in ("tree", "layout", "links", "steps", "formula", "differences")],
    "and HOLDS by SAT": [
        *(f"certificate/{name}.py" for name in ("cnf", "staircases", "bitblast", "gates", "lrat")),
        *(f"certificate/{name}.py" for name in ("layout", "links", "steps", "formula")),
    ],
    "and HOLDS by enumeration": ["certificate/enumeration.py"],
    "a network in an .h5": ["importers/benchmark_h5.py", "importers/hdf5.py", "importers/hdf5_texts.py"],
    "a network in a .tflite": [
        *(f"importers/{name}.py" for name in ("runtimes", "tables", "library_tables", "float_steps", "fixed_point", "interpolation")),
        *(
            f"importers/tflite_file/{name}.py"
            for name in ("__init__", "builder", "convolutions", "elementwise", "flatbuffer", "records", "reductions", "rims")
        ),
        *(
            f"importers/tflite_file/{name}.py"
            for name in ("blocks", "floats", "picks", "schema", "selections", "shapes", "survey", "upsampling")
        ),
        *(
            f"importers/assembly/{name}.py"
            for name in ("builder", "clamping", "convolving", "functions", "products", "pruning", "summing", "wires")
        ),
    ],
    "a network in an .onnx": [
        "importers/runtimes.py",
        *(
            f"importers/assembly/{name}.py"
            for name in ("builder", "clamping", "convolving", "functions", "products", "pruning", "summing", "wires")
        ),
        *(f"importers/onnx_file/{name}.py" for name in ("__init__", "affine", "elementwise", "exact", "exact_quantizers", "floats")),
        *(
            f"importers/onnx_file/{name}.py"
            for name in ("functions", "meaning", "means", "pending", "pools", "protobuf", "quantizing", "records", "session")
        ),
        *(f"importers/onnx_file/{name}.py" for name in ("resizing", "shapes", "survey", "tables", "values", "windows")),
    ],
    "a query in VNN-LIB": [
        *("certificate/vnnlib.py", "importers/onnx_file/borders.py"),
        *(f"properties/vnnlib/{name}.py" for name in ("binding", "cells", "disjuncts", "expressions", "joining", "meaning", "numbers")),
        *(f"properties/vnnlib/{name}.py" for name in ("question", "reading", "records", "regions", "terms")),
    ],
    "and float networks on a grid": [
        *("properties/vnnlib/exact_floats.py", "importers/float_builder.py"),
        *(f"importers/onnx_floats/{name}.py" for name in ("__init__", "affine", "elementwise", "tensors")),
        *(f"network/float_{name}.py" for name in ("layers", "moves", "network", "steps")),
        *(f"quantize/{name}.py" for name in ("exact", "lowering", "prepare")),
    ],
    "a folder of results": [
        *(f"certificate/{name}.py" for name in ("folder", "lines", "asked", "around", "in_files")),
        *(f"properties/{name}.py" for name in ("agreement", "equality", "monotone", "widths")),
        *(f"properties/question_file/{name}.py" for name in ("document", "functions", "grammar", "linear")),
        *(f"properties/question_file/{name}.py" for name in ("names", "places", "question", "regions")),
    ],
    "that samples are those of a data set": ["certificate/samples.py", "importers/inputs.py", "importers/csv_file.py"],
    "the command: its arguments, processes and words": [
        *("cli/check.py", "cli/arguments.py", "campaign/workers.py", "processes.py", "certificate/words.py"),
    ],
}
# Imported with these, but nothing that is proved rests on them.
IDLE = {
    "network/inference.py": "the fast inference",
    "arithmetic/steps.py": "requantizers as the kernels of search and inference read them",
    "properties/question_file/write.py": "what writes question files",
    "properties/replay.py": "the search's own replay of witnesses",
    "importers/foreign.py": "what is said of formats that are not read",
    "certificate/cake.py": "the way to cake_lpr",
    "properties/vnnlib/writing.py": "what writes tensors",
    **{
        f"quantize/{name}.py": "other formats"
        for name in ("calibration", "casts", "fixed_point", "formats", "hls4ml", "int8", "losses", "numbers", "qkeras", "hgq", "trained")
    },
    "quantize/quantizing.py": "the way to them",
}


def lines(name: str) -> int:
    return len((PACKAGE / name).read_text(encoding="utf-8").splitlines())


def table() -> str:
    """A row for each group; sums in tens, so that not every comment changes the page."""
    rows, before = ["| what rests on it | files of `qbitsat/` | lines |\n|---|---|---|\n"], set[str]()
    for what, names in GROUPS.items():
        total = sum(map(lines, names))
        rows.append(f"| {what} | {', '.join(f'`{name}`' for name in names)} | {round(total, -1):,} |\n")
        before |= set(names)
    idle = ", ".join(f"`{name}` ({why})" for name, why in IDLE.items())
    total = f"In all {round(sum(map(lines, before)), -1):,} lines, comments and blank ones included."
    return f"{''.join(rows)}\n{total} Imported with them, but not relied on: {idle}.\n"


def filled(text: str) -> str:
    """The page with the table as it is now."""
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"
