"""Small valid releases, one module a source in ``releases/``; what every reader must hold to."""

import importlib.util
from pathlib import Path

import polars as pl
import pytest

from imaxray.phantom import write_phantom

RELEASES = Path(__file__).parent / "releases"
PHANTOM = (
    "chest-imagenome", "cxr-cardiomegaly", "mimic-cxr", "mimic-cxr-jpg", "mimic-cxr-pe-severity",
    "mimic-cxr-vqa", "ms-cxr",
)  # fmt: skip
"""Sources whose small release the phantom writes."""


def writers(name):
    """Functions of ``releases/<name>.py`` that write a variant of the release, by variant."""
    path = RELEASES / f"{name.replace('-', '_')}.py"
    if not path.is_file():
        return {}
    spec = importlib.util.spec_from_file_location(f"releases_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {key: value for key, value in vars(module).items() if key.startswith("write")}


@pytest.fixture(scope="session")
def small_releases(tmp_path_factory):
    """A function: the small releases of a source, a folder for each variant."""
    base = tmp_path_factory.mktemp("releases")

    def make(name):
        if name in PHANTOM:
            if not (base / "phantom").exists():
                write_phantom(base / "phantom", images=8, seed=5)
            return {"write": base / "phantom" / name}
        made = {}
        for variant, write in writers(name).items():
            made[variant] = base / name / variant
            if not made[variant].exists():
                made[variant].mkdir(parents=True)
                write(made[variant])
        return made

    return make


@pytest.fixture(scope="session")
def account_closes():
    """A function: every row of every file is in an image, an annotation, a hint, or a reject."""

    def check(tables):
        key = ["source", "file", "row"]
        frames = (tables.images, tables.annotations, tables.hints, tables.rejects)
        seen = pl.concat([f.select(key) for f in frames]).unique()
        known = {(file.source, file.file) for file in tables.files}
        assert set(seen.select("source", "file").unique().iter_rows()) <= known
        for file in tables.files:
            rows = seen.filter(pl.col("source") == file.source, pl.col("file") == file.file)["row"]
            assert sorted(rows) == list(range(1, file.rows + 1)), file.file

    return check
