"""Builds the catalog: all images, annotations and entries of the chosen releases."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from imaxray._common.workers import worker_pool
from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.curation.account import close_account
from imaxray.curation.decisions import notice_same_images
from imaxray.curation.entries import EntriesConfig, catalog_entries, count_uncertain
from imaxray.curation.exclusions import (
    Exclusions,
    account_of_marks,
    read_exclusions,
    without_annotations,
    without_images,
)
from imaxray.curation.joining.conflicts import ConflictsConfig
from imaxray.curation.joining.duplicates import DuplicatesConfig, hash_images, join_duplicates
from imaxray.curation.joining.join import join_annotations, join_images
from imaxray.curation.joining.readers import ReadersConfig
from imaxray.curation.joining.splits import SplitConfig, assign_splits
from imaxray.curation.joining.verify import Verify, verify_images
from imaxray.curation.tables import Tables
from imaxray.curation.text.cleaning import CleaningConfig, as_decision, clean_reports
from imaxray.errors import ImaxrayError
from imaxray.progress import progress_bar
from imaxray.sources import (
    Source,
    SourceTables,
    check_source_tables,
    known_encoding,
    open_release,
)


class CurationConfig(BaseModel):
    """Holds all settings of a catalog; releases, clinical rules and the seed are given apart."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    encoding: dict[str, Annotated[str, AfterValidator(known_encoding)]] = Field(
        default_factory=dict,
        description="Name of a source → encoding of the texts of its release, such as latin-1; "
        "default: utf-8.",
    )
    splits: SplitConfig = SplitConfig()
    cleaning: CleaningConfig = CleaningConfig()
    readers: ReadersConfig = ReadersConfig()
    conflicts: ConflictsConfig = ConflictsConfig()
    duplicates: DuplicatesConfig = DuplicatesConfig()
    entries: EntriesConfig = EntriesConfig()


def build_catalog(
    releases: Mapping[str, Path],
    config: CurationConfig | None = None,
    *,
    seed: int = 0,
    verify: bool | Verify = True,
    workers: int = 1,
    clinical: ClinicalRules = DEFAULT_RULES,
    exclude: Exclusions | str | Path | None = None,
) -> Tables:
    """Read ``releases`` (source name → folder) and join them per image.

    The result depends only on the content of the releases, ``config``, ``clinical``, ``seed`` and
    what the marks of ``exclude`` name.

    Args:
        releases: folder of each release as downloaded, by the name of its source; for a release of
            your own, its ``source.yaml``.
        config: settings of splits, cleaning, readers, conflicts, duplicates and entries.
        seed: seed that decides the split of patients whom no release assigns to one.
        verify: how images are verified: decode every image (``decode`` or True), only check that
            its file exists (``exists`` or False), or trust the tables (``none``).
        workers: processes that read archives and decode.
        clinical: clinical rules that define which annotations contradict each other.
        exclude: file of marks (`imaxray view`), or what they leave out: images and annotations that
            a user marked as wrong become rejects.

    Raises:
        ImaxrayError: If no release is given, a source is unknown, a release fails its check or the
            file of marks is damaged.
    """
    if not releases:
        raise ImaxrayError(
            "Expected at least one release, but got none; name a source and its path."
        )
    config = config or CurationConfig()
    excluded = read_exclusions(exclude) if isinstance(exclude, str | Path) else exclude
    how: Verify = verify if isinstance(verify, str) else "decode" if verify else "exists"
    opened = {name: open_release(name, releases[name]) for name in sorted(releases)}
    sources = {name: source for name, (source, _) in opened.items()}
    releases = {name: folder for name, (_, folder) in opened.items()}
    stray = sorted(set(config.encoding) - set(sources))
    if stray:
        raise ImaxrayError(
            f"Expected the option encoding to name releases of this build, but it names "
            f"{', '.join(stray)}; known are {', '.join(sources)}."
        )
    for name, source in sources.items():
        if name in config.encoding:
            source.encoding = config.encoding[name]
        source.check(releases[name])  # check all headers before anything slow begins
    shared = notice_same_images(sources, config.duplicates)
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(step: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[step] = now - clock
        clock = now

    with _pool(workers) as pool:
        read, cleaned = _read(sources, releases, config.cleaning, pool)
    lap("read")
    images, rejects = join_images(read)
    rejects += [tables.rejects for tables in read]
    lap("join images")
    good, bad = verify_images(images, releases, how=how, workers=workers)
    bound: list[frozenset[str]] = []
    if config.duplicates.effect != "off":
        hashes = hash_images(good, releases, workers=workers)
        good, again, bound = join_duplicates(good, hashes, config.duplicates)
        rejects.append(again)
    # only now, so that no copy of a marked image under another id takes its place
    good, marked_images = without_images(good, excluded)
    dropped = images.join(good, on="image_id", how="anti")
    rejects += [bad, marked_images]
    lap("verify images")
    hints = pl.concat([tables.hints for tables in read])
    good, used, unused = assign_splits(
        good, hints, config.splits, seed=seed, dropped=dropped, bound=bound
    )
    rejects.append(unused)
    lap("assign splits")
    files = tuple(file for tables in read for file in tables.files)
    joined = join_annotations(
        read,
        good,
        dropped,
        readers=config.readers,
        conflicts=config.conflicts,
        clinical=clinical,
    )
    del read
    annotations, marked_facts = without_annotations(joined.annotations, excluded)
    rejects += [*joined.rejects, marked_facts]
    marks = account_of_marks(excluded, marked_images, marked_facts)
    lap("join annotations")
    all_rejects = _sorted(pl.concat(rejects))
    account = close_account(files, [good, annotations, used], [all_rejects])
    lap("close account")
    entries = catalog_entries(annotations, good, config.entries)
    unsure = count_uncertain(annotations, entries, config.entries.uncertain)
    lap("make entries")
    return Tables(
        images=good,
        annotations=annotations,
        entries=entries,
        rejects=all_rejects,
        conflicts=joined.conflicts,
        compared=joined.compared,
        account=account,
        decisions={
            "uncertain_labels": unsure,
            "report_text": as_decision(cleaned, config.cleaning),
            "same_images": shared,
            **({} if marks is None else {"marks": marks}),
        },
        files=files,
        roots=dict(releases),
        seconds=seconds,
    )


@contextmanager
def _pool(workers: int) -> Iterator[Executor | None]:
    if workers <= 1:
        yield None
        return
    with worker_pool(workers) as pool:
        yield pool


def _read(
    sources: Mapping[str, Source],
    releases: Mapping[str, Path],
    cleaning: CleaningConfig,
    pool: Executor | None,
) -> tuple[list[SourceTables], Counter[str]]:
    """Read all releases in ``pool`` at once and clean the reports of each as soon as it is read."""
    with progress_bar("Reading releases", total=len(sources)) as bar:

        def one(name: str) -> tuple[SourceTables, Counter[str]]:
            read = sources[name].read_with(releases[name], pool)
            # The base class checks what a source reads; this checks tables of another origin.
            tables = check_source_tables(read, source=name, collection=None, root=releases[name])
            cleaned, emptied, counts = clean_reports(tables.annotations, cleaning)
            bar.advance()
            tables = replace(
                tables,
                annotations=cleaned,
                rejects=pl.concat([tables.rejects, emptied]),
            )
            return tables, counts

        if pool is None:
            parts = [one(name) for name in sources]
        else:
            with ThreadPoolExecutor(len(sources)) as threads:
                parts = list(threads.map(one, sources))
    return [tables for tables, _ in parts], sum((counts for _, counts in parts), Counter())


def _sorted(rejects: pl.DataFrame) -> pl.DataFrame:
    return rejects.unique(maintain_order=True).sort(
        "source", "file", "row", "code", "key", nulls_last=True
    )
