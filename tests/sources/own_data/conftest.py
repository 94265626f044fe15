"""Proposes, answers and reads a release of small tables of one's own."""

import pytest

from imaxray.curation import build_catalog
from imaxray.sources import new_source, open_release


@pytest.fixture
def release(tmp_path):
    """A function: write the `source.yaml` of tables, then read the release."""

    def read(*tables, images="images", **answers):
        proposal = new_source(
            "mine", [tmp_path / t for t in tables], tmp_path / images, out=tmp_path / "mine",
            overwrite=True, **answers,
        )  # fmt: skip
        assert proposal.mapping.questions == (), proposal.mapping.questions
        source, root = open_release("mine", tmp_path / "mine/source.yaml")
        return source.read(root)

    return read


@pytest.fixture
def asked(tmp_path):
    """A function: the questions that are left open after some answers."""

    def ask(*tables, images="images", **answers):
        proposal = new_source(
            "mine", [tmp_path / t for t in tables], tmp_path / images, out=tmp_path / "mine",
            overwrite=True, **answers,
        )  # fmt: skip
        return proposal.mapping.questions

    return ask


@pytest.fixture
def catalog(tmp_path):
    """A function: build the catalog of the release that was read last."""
    return lambda: build_catalog({"mine": tmp_path / "mine/source.yaml"})
