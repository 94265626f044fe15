"""Training, evaluation and annotation open images within the folder of their release only."""

import pytest

from imaxray.cache import ImageStore
from imaxray.curation import Tables, open_dataset, write_dataset
from imaxray.errors import ImaxrayError
from imaxray.schema import ANNOTATIONS, ENTRIES, IMAGES, empty


@pytest.fixture
def open_with(tmp_path):
    (tmp_path / "release").mkdir()
    (tmp_path / "secret.png").touch()
    (tmp_path / "release" / "link.png").symlink_to(tmp_path / "secret.png")

    def build(path):
        import polars as pl

        row = {
            "image_id": "c/a", "patient_id": "c/p", "split": "train", "view": "PA", "source": "c",
            "file": "list.csv", "row": 1, "path": path, "width": 8, "height": 8,
        }  # fmt: skip
        images = pl.DataFrame([{name: row.get(name) for name in IMAGES}], schema=IMAGES)
        tables = Tables(
            images, empty(ANNOTATIONS), empty(ENTRIES), roots={"c": tmp_path / "release"}
        )
        write_dataset(tables, tmp_path / "data", config={}, seed=0)
        return open_dataset(tmp_path / "data")

    return build


@pytest.mark.parametrize("path", ["../secret.png", "{}/secret.png", "link.png"])
def test_a_path_out_of_the_release_is_refused(open_with, tmp_path, path):
    data = open_with(path.format(tmp_path))
    assert data.find_image("c/a") is None
    for opened in (data.image_path, ImageStore(data)):
        with pytest.raises(ImaxrayError, match="leads out of this folder"):
            opened("c/a")
