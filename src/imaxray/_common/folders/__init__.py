"""Keeps apart what commands wrote and what users own, and writes folders whole or under a lock."""

from imaxray._common.folders.aside import (
    move_aside,
    next_aside,
    require_other_folder,
    require_replaceable,
)
from imaxray._common.folders.claimed import (
    CLAIMED,
    claim_files,
    claimed_digests,
    forget_recorded,
    has_claims,
    record_claimed,
    record_files,
    require_as_recorded,
    require_claimable,
    require_recorded,
    require_records,
)
from imaxray._common.folders.marker import (
    MARKER,
    Marker,
    is_free,
    read_marker,
    remove_listed,
    require_own_manifest,
    write_marker,
)
from imaxray._common.folders.whole import (
    growing_folder,
    is_complete,
    require_place,
    scratch_folder,
    whole_folder,
)

__all__ = [
    "CLAIMED",
    "MARKER",
    "Marker",
    "claim_files",
    "claimed_digests",
    "forget_recorded",
    "growing_folder",
    "has_claims",
    "is_complete",
    "is_free",
    "move_aside",
    "next_aside",
    "read_marker",
    "record_claimed",
    "record_files",
    "remove_listed",
    "require_as_recorded",
    "require_claimable",
    "require_other_folder",
    "require_own_manifest",
    "require_place",
    "require_recorded",
    "require_records",
    "require_replaceable",
    "scratch_folder",
    "whole_folder",
    "write_marker",
]
