"""Writes and opens dataset folders; the same input gives the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from imaxray._common.digests import changed_files
from imaxray._common.files import read_parquet, sha256, utf8_path
from imaxray._common.folders import require_own_manifest, require_place, whole_folder
from imaxray._common.state import read_state, write_state
from imaxray._version import __version__
from imaxray.curation.tables import ACCOUNT, Tables, count_conflicts
from imaxray.errors import ImaxrayError
from imaxray.schema import (
    ANNOTATIONS,
    CONFLICTS,
    ENTRIES,
    IMAGES,
    REJECTS,
    SPLITS,
    empty,
    require_real_evaluation,
)
from imaxray.sources import ReleaseFile, find_image

if TYPE_CHECKING:
    from imaxray.clinical import ClinicalRules

MANIFEST: Final = "manifest.json"
_ROOTS: Final = "roots.json"
_KEYS: Final = ("imaxray", "files", "account")


def write_dataset(
    tables: Tables,
    folder: Path,
    *,
    config: Mapping[str, Any],
    seed: int,
    role: str = "catalog",
    beside: Mapping[str, str] = MappingProxyType({}),
    tables_beside: Mapping[str, pl.DataFrame] = MappingProxyType({}),
) -> None:
    """Write ``tables`` as a dataset folder.

    The folder is written under another name and then renamed, so it appears whole or not at all.
    ``roots.json`` says where the images are on this machine; the bytes of every other file depend
    on the content alone.

    Args:
        tables: Tables of the dataset.
        folder: Folder to write; an existing dataset folder is replaced.
        config: All settings that decided the content; the manifest records them.
        seed: Seed that decided the content; the manifest records it.
        role: Role of the dataset in its configuration: catalog, imax, dmax, derived or
            pseudo-imax.
        beside: Content of further text files by file name; the manifest lists them too.
        tables_beside: Further tables by file name, ``*.parquet``; the manifest lists them too.

    Raises:
        ImaxrayError: If ``folder`` exists and is no dataset folder, or if validation or test holds
            pseudo annotations or entries.
    """
    require_real_evaluation(tables.images, tables.annotations, tables.entries)
    with whole_folder(
        folder, manifest=MANIFEST, keys=_KEYS, what="dataset", unlisted=(_ROOTS,)
    ) as aside:
        _write_all(tables, aside, config, seed, role, beside, tables_beside)


def require_dataset_place(folder: Path) -> None:
    """Check, before the work begins, that :func:`write_dataset` will take a folder.

    Raises:
        ImaxrayError: If ``folder`` is a file, cannot be replaced, or holds anything but a dataset.
    """
    require_place(folder, manifest=MANIFEST, keys=_KEYS, what="dataset", unlisted=(_ROOTS,))


def _write_all(
    tables: Tables,
    aside: Path,
    config: Mapping[str, Any],
    seed: int,
    role: str,
    beside: Mapping[str, str],
    tables_beside: Mapping[str, pl.DataFrame],
) -> None:
    from imaxray.curation.card import write_card  # late: it needs the readers of all sources

    (aside / "entries").mkdir()
    _write(tables.images, aside / "images.parquet")
    _write(tables.annotations, aside / "annotations.parquet")
    _write(tables.rejects, aside / "rejects.parquet")
    _write(tables.conflicts, aside / "conflicts.parquet")
    for split in SPLITS:
        _write(tables.split(split).select(ENTRIES.names()), aside / "entries" / f"{split}.parquet")
    for name, table in sorted(tables_beside.items()):
        _write(table, aside / name)
    write_card(tables, aside / "README.md")
    for name, text in sorted(beside.items()):
        (aside / name).write_text(text, encoding="utf-8")
    files = sorted(path for path in aside.rglob("*") if path.is_file())
    manifest = {
        "imaxray": __version__,
        "role": role,
        "config": dict(config),
        "seed": seed,
        "releases": [asdict(file) for file in tables.files],
        "account": tables.account.to_dicts(),
        "conflicts": count_conflicts(tables.conflicts, tables.compared),
        "decisions": dict(tables.decisions),
        "counts": {
            "images": tables.images.height,
            "annotations": tables.annotations.height,
            "rejects": tables.rejects.height,
            "entries": {split: tables.split(split).height for split in SPLITS},
        },
        "files": {path.relative_to(aside).as_posix(): sha256(path) for path in files},
    }
    write_state(aside / MANIFEST, manifest, sort_keys=True)
    roots = {name: str(path.resolve()) for name, path in sorted(tables.roots.items())}
    # without a digest, because a user may edit it when a release moves
    (aside / _ROOTS).write_text(json.dumps(roots, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Dataset:
    """Holds an opened dataset folder: its tables and its manifest."""

    folder: Path
    tables: Tables
    manifest: Mapping[str, Any]

    def image_path(self, image_id: str) -> Path:
        """Return the path of an image on this machine.

        Raises:
            ImaxrayError: If the image is not in the dataset, the folder of its release is
                unknown, or the path leads out of this folder.
        """
        file = self.find_image(image_id)
        if file is None:
            source, path = self._paths[image_id]
            raise ImaxrayError(
                f"Expected image {image_id} within {self.tables.roots[source]}, but its path "
                f"{path} leads out of this folder; correct the table, or copy the file there."
            )
        return file

    def find_image(self, image_id: str) -> Path | None:
        """Return the path of an image, or ``None`` if it leads out of the folder of its release.

        Raises:
            ImaxrayError: If the image is not in the dataset, or the folder of its release is
                unknown.
        """
        found = self._paths.get(image_id)
        if found is None:
            raise ImaxrayError(f"Expected the id of an image of {self.folder}, but got {image_id}.")
        source, path = found
        if source not in self.tables.roots:
            raise ImaxrayError(
                f"Expected the folder of release {source} in {self.folder / _ROOTS}, but it names "
                f"{', '.join(self.tables.roots) or 'none'}; add its path there."
            )
        return find_image(self.tables.roots[source], path)

    @property
    def sha256(self) -> str:
        """Return one digest of the whole content, computed from the digests in the manifest."""
        return content_digest(self.manifest)

    @cached_property
    def clinical(self) -> ClinicalRules:
        """The clinical rules with which the dataset was built.

        They are the built-in rules with the changes of the ``clinical:`` block in the manifest, if
        there is one. Pseudo IMAX has the rules of the dataset that was annotated.

        Raises:
            ImaxrayError: If the block names a rule, threshold or severity that is unknown.
        """
        from imaxray.clinical import BLOCK, read_block  # late: reading tables needs no rules

        return read_block(self._options.get(BLOCK), str(self.folder / MANIFEST))

    @property
    def text_cleaning(self) -> Mapping[str, Any] | None:
        """The options by which the report texts were cleaned.

        They are those of the catalog that the dataset comes from, and ``None`` if no build of this
        package made the catalog.
        """
        if self.tables.decisions:
            options: Mapping[str, Any] = self.tables.decisions["report_text"]["options"]
            return options
        curation = self._options.get("curation")
        found = curation.get("cleaning") if isinstance(curation, Mapping) else None
        return found if isinstance(found, Mapping) else None

    @property
    def _options(self) -> Mapping[str, Any]:
        """The options of the build that the dataset, or the dataset under it, comes from."""
        config = self.manifest.get("config")
        while isinstance(config, Mapping) and "base_config" in config:
            config = config["base_config"]
        return config if isinstance(config, Mapping) else {}

    def verify(self) -> list[str]:
        """Return the names of the files that are missing or do not match the manifest's digest."""
        return [
            name
            for name, digest in self.manifest["files"].items()
            if not (self.folder / name).is_file() or sha256(self.folder / name) != digest
        ]

    @property
    def _paths(self) -> dict[str, tuple[str, str]]:
        if "_path_cache" not in self.__dict__:
            rows = self.tables.images.select("image_id", "source", "path").iter_rows()
            self.__dict__["_path_cache"] = {i: (s, p) for i, s, p in rows}
        cache: dict[str, tuple[str, str]] = self.__dict__["_path_cache"]
        return cache


def content_digest(manifest: Mapping[str, Any]) -> str:
    """Return the digest of a dataset's whole content, from the file digests in its manifest."""
    text = json.dumps(manifest["files"], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def open_dataset(folder: str | Path, *, entries_only: bool = False) -> Dataset:
    """Open a dataset folder.

    Args:
        folder: Folder of the dataset.
        entries_only: Whether all tables but the entries stay empty, to save memory. Their files are
            compared with the manifest all the same.

    Raises:
        ImaxrayError: If ``folder`` is no dataset folder or is damaged, or if validation or test
            holds pseudo annotations or entries.
    """
    folder = Path(folder)
    manifest, roots = read_manifest(folder)

    def table(name: str, schema: pl.Schema) -> pl.DataFrame:
        return empty(schema) if entries_only else _read(folder / name, schema)

    with _whole(folder):
        tables = Tables(
            images=table("images.parquet", IMAGES),
            annotations=table("annotations.parquet", ANNOTATIONS),
            rejects=table("rejects.parquet", REJECTS),
            entries=pl.concat(
                [_read(folder / "entries" / f"{split}.parquet", ENTRIES) for split in SPLITS]
            ),
            conflicts=table("conflicts.parquet", CONFLICTS),
            compared={rule: n["compared"] for rule, n in manifest["conflicts"].items()},
            account=pl.DataFrame(manifest["account"], schema=ACCOUNT),
            decisions=manifest.get("decisions", {}),  # older datasets have none
            files=tuple(ReleaseFile(**file) for file in manifest["releases"]),
            roots=roots,
        )
    require_real_evaluation(tables.images, tables.annotations, tables.entries)
    return Dataset(folder, tables, manifest)


def read_manifest(folder: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """Read a dataset's manifest and the folders of its releases; the tables are only compared.

    This is for programs that read the tables in parts.

    Raises:
        ImaxrayError: If ``folder`` is no dataset folder, or a table is missing or was changed.
    """
    if not folder.is_dir():
        what = "it is a file" if folder.exists() else "it does not exist"
        raise ImaxrayError(
            f"Expected a dataset folder at {folder}, but {what}; name a folder that `imaxray "
            "build` or `imaxray match` wrote."
        )
    if not (folder / MANIFEST).exists():
        raise ImaxrayError(
            f"Expected a dataset folder at {folder}, but it has no {MANIFEST}; name a folder that "
            "`imaxray build` or `imaxray match` wrote."
        )
    with _whole(folder):
        require_own_manifest(folder, MANIFEST)
        manifest = read_state(folder / MANIFEST, advice="build the dataset again")
        _require_unchanged(folder, manifest["files"])
        roots = json.loads((folder / _ROOTS).read_text()) if (folder / _ROOTS).exists() else {}
        return manifest, {name: Path(path) for name, path in roots.items()}


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """Turn what a damaged manifest or table raises into one sentence."""
    try:
        yield
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,  # of JSON that is nested too deep
        pl.exceptions.PolarsError,
    ) as error:
        raise ImaxrayError(
            f"Expected a dataset folder at {folder}, but its manifest or tables are missing or "
            "damaged; build it again."
        ) from error


def _require_unchanged(folder: Path, files: Mapping[str, str]) -> None:
    """Compare the tables with the manifest; each file is read once and then known by its time.

    Raises:
        ImaxrayError: If a table is missing or has another content.
    """
    changed = changed_files(folder, {n: d for n, d in files.items() if n.endswith(".parquet")})
    if changed:
        raise ImaxrayError(
            f"Expected the tables of the dataset folder {folder} as its manifest describes them, "
            f"but {changed[0]} is missing or was changed; build it again."
        )


def _read(path: Path, schema: pl.Schema) -> pl.DataFrame:
    return read_parquet(path).select(schema.names()).cast(schema)


def _write(frame: pl.DataFrame, path: Path) -> None:
    # Categories are numbered in the order in which a process met them, so the file holds text.
    few = pl.selectors.by_dtype(pl.Categorical, pl.Enum)
    frame.lazy().with_columns(few.cast(pl.String)).sink_parquet(
        utf8_path(path), compression="zstd", compression_level=3, row_group_size=65_536
    )
