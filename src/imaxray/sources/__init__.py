"""Reads public releases; every release has one module of its own.

A reader compares the files of a release with what their publisher documents, then returns images,
annotations, split hints and rejects. A reader never learns whether a release is synthetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily

if TYPE_CHECKING:
    from imaxray.sources._checks.reading import known_encoding
    from imaxray.sources._shared.base import Source, check_source_tables
    from imaxray.sources._shared.files.columns import reject
    from imaxray.sources._shared.files.paths import (
        find_file,
        find_image,
        is_inside,
        leaves_release,
        release_file,
    )
    from imaxray.sources._shared.files.tables import (
        check_columns,
        read_csv,
        read_header,
        read_lines,
    )
    from imaxray.sources._shared.images.same_images import others_with_same_images, same_images
    from imaxray.sources._shared.records import ReleaseFile, SourceTables
    from imaxray.sources.own_data.mapping import MAPPING_FILE
    from imaxray.sources.own_data.proposing.proposal import Proposal
    from imaxray.sources.own_data.proposing.writing import STUDY_FILE, new_source
    from imaxray.sources.own_data.release import OwnData
    from imaxray.sources.registry import (
        described_source,
        get_source,
        list_sources,
        open_release,
        published_sources,
        release_paths,
        require_new_name,
    )
else:
    # opening a dataset needs two of these modules, and the readers load slowly
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "_checks.reading": ["known_encoding"],
            "_shared.base": ["Source", "check_source_tables"],
            "_shared.files.columns": ["reject"],
            "_shared.files.paths": [
                "find_file",
                "find_image",
                "is_inside",
                "leaves_release",
                "release_file",
            ],
            "_shared.files.tables": ["check_columns", "read_csv", "read_header", "read_lines"],
            "_shared.images.same_images": ["others_with_same_images", "same_images"],
            "_shared.records": ["ReleaseFile", "SourceTables"],
            "own_data.mapping": ["MAPPING_FILE"],
            "own_data.proposing.proposal": ["Proposal"],
            "own_data.proposing.writing": ["STUDY_FILE", "new_source"],
            "own_data.release": ["OwnData"],
            "registry": [
                "described_source",
                "get_source",
                "list_sources",
                "open_release",
                "require_new_name",
                "published_sources",
                "release_paths",
            ],
        },
    )

__all__ = [
    "MAPPING_FILE",
    "STUDY_FILE",
    "OwnData",
    "Proposal",
    "ReleaseFile",
    "Source",
    "SourceTables",
    "check_columns",
    "check_source_tables",
    "described_source",
    "find_file",
    "find_image",
    "get_source",
    "is_inside",
    "known_encoding",
    "leaves_release",
    "list_sources",
    "new_source",
    "open_release",
    "others_with_same_images",
    "published_sources",
    "read_csv",
    "read_header",
    "read_lines",
    "reject",
    "release_file",
    "release_paths",
    "require_new_name",
    "same_images",
]
