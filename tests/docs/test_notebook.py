"""Runs the notebook of the documentation in its folder, as a reader does."""

import time
from pathlib import Path

import pytest

import imaxray

nbclient = pytest.importorskip("nbclient", reason="the extra docs is not installed")
nbformat = pytest.importorskip("nbformat", reason="the extra docs is not installed")

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NOTEBOOK = FOLDER / "first-look.ipynb"


@pytest.fixture(scope="module")
def run():
    """The notebook after a run in its folder, and the seconds that it took."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    with pytest.MonkeyPatch.context() as patch:  # the kernel imports the package under test
        patch.setenv("PYTHONPATH", str(Path(imaxray.__file__).parents[1]))
        return notebook, seconds_of(notebook)


def seconds_of(notebook):
    """Run a notebook in its folder; return how long it took."""
    started = time.monotonic()
    client = nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    client.execute()
    return time.monotonic() - started


def test_every_cell_runs(run):
    notebook, seconds = run
    print(f"The notebook took {seconds:.0f} s.")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]
    assert any("image/png" in o.get("data", {}) for cell in code for o in cell.outputs)


def test_the_stored_notebook_is_small():
    assert NOTEBOOK.stat().st_size < 200_000
    assert all(path.stat().st_size < 100_000 for path in FOLDER.glob("answers-*"))
