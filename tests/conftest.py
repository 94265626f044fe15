"""Defines the fixtures that all tests share."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

import network
from imaxray.phantom import write_phantom

network.forbid()

# CI tries the same examples every time, so that a change is never blamed for an example that nobody
# had drawn before. `HYPOTHESIS_PROFILE=default` draws others, as `make fuzz` does.
settings.register_profile("same", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def open_cxr() -> Path:
    """The real radiographs; tests that need them are skipped where they are absent."""
    path = Path(os.environ.get("IMAXRAY_OPEN_CXR", ROOT.parent / "shared" / "open-cxr"))
    if not path.is_dir():
        pytest.skip(f"the open radiographs are not at {path}; set IMAXRAY_OPEN_CXR")
    return path


@pytest.fixture(scope="session")
def phantom_root(tmp_path_factory) -> Path:
    """A small phantom: 120 images and their seven releases."""
    out = tmp_path_factory.mktemp("phantom") / "releases"
    write_phantom(out, images=120, seed=3)
    return out


@pytest.fixture(scope="session")
def phantom_releases(phantom_root) -> dict[str, Path]:
    """Source name -> folder of the small phantom."""
    return {p.name: p for p in sorted(phantom_root.iterdir()) if p.is_dir() and p.name != "truth"}


@pytest.fixture(scope="session")
def write_dicom():
    """A function that writes a small DICOM radiograph; tags can be set or, by None, left out."""
    import dicoms  # late, as pydicom is an extra

    return dicoms.write_dicom


@pytest.fixture
def plug(tmp_path, monkeypatch):
    """A function that installs a page's package for this process, until the test is over."""
    modules = []

    def install(page, **options):
        modules.append(page.module)
        monkeypatch.syspath_prepend(page.install(tmp_path / "site", **options))

    yield install
    for module in modules:
        sys.modules.pop(module, None)
