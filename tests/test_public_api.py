"""The package's own names: all there, none heavy before it is used."""

import subprocess
import sys

import pytest

import imaxray


def test_every_public_name_resolves():
    for name in imaxray.__all__:
        assert getattr(imaxray, name) is not None
    with pytest.raises(AttributeError):
        _ = imaxray.segment


def test_the_core_needs_no_torch():
    code = (
        "import sys, imaxray; imaxray.build_catalog; imaxray.score; imaxray.list_sources()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
