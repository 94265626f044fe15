"""Tests MIMIC-Ext-CXR-QBA: invented studies in every layout, intact and damaged."""

import json
import random
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import polars as pl
import pytest

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source
from sources.releases.mimic_ext_cxr_qba import (
    DICOM,
    LEGEND,
    QUESTIONS,
    SECOND,
    STUDY,
    answer,
    members,
    observation,
    pack,
    place,
    question,
)

SOURCE = get_source("mimic-ext-cxr-qba")


def test_questions(tmp_path, read):
    tables = read(pack(tmp_path, members()))
    facts = tables.annotations.filter(pl.col("kind") == "qa")
    assert facts.select("name", "value", "text", "answers", "quality").rows() == [
        ("describe_all", 0.0, "Describe the given study.",
         ["There is no focal consolidation. Small effusion."], "A++"),
        ("has_finding", 1.0, "Is there edema?", ["yes"], "B"),
        ("is_abnormal", 1.0, "Is it abnormal?", ["no"], "unrated"),
        ("is_normal", 0.0, "Is it normal?", ["Normal study."], "rating 4"),
    ]  # fmt: skip
    same = facts.select("image_id", "study_id", "origin", "source", "file", "row").unique()
    assert same.rows() == [
        (None, f"mimic-cxr/{STUDY}", "silver", "mimic-ext-cxr-qba", "qa.zip", 1),
    ]  # fmt: skip


def test_positive_observations_are_regions(tmp_path, read):
    tables = read(pack(tmp_path, members()))
    facts = tables.annotations.filter(pl.col("kind") == "region")
    assert facts.select("image_id", "name", "text", "boxes", "quality").rows() == [
        (f"mimic-cxr/{DICOM}", "pleural effusion, fluid", "small left effusion",
         [[10.5, 20.0, 110.0, 220.0], [5.0, 6.0, 7.0, 8.0]], "A++"),
        (f"mimic-cxr/{SECOND}", "pleural effusion, fluid", "small left effusion",
         [[1.0, 2.0, 30.0, 40.0]], "A"),
        (f"mimic-cxr/{DICOM}", None, "There is a tube", [[1.0, 1.0, 9.0, 9.0]], "A+"),
        (f"mimic-cxr/{SECOND}", None, "There is a tube", [[1.0, 1.0, 9.0, 9.0]], "B"),
    ]  # fmt: skip
    assert set(facts["origin"]) == {"silver"} and set(facts["file"]) == {"scene_data.zip"}
    assert tables.rejects.select("file", "row", "key", "code").rows() == [
        ("scene_data.zip", 1, f"s{STUDY}/O03", "no-box"),
    ]  # fmt: skip
    assert [(f.file, f.rows) for f in tables.files] == [("qa.zip", 1), ("scene_data.zip", 1)]


@pytest.mark.parametrize(
    ("qa", "graph"),
    [
        ("qa", "scene_data"),
        ("qa.zip", "scene_graph.zip"),
        ("qa/qa", "scene_graphs/scene_data"),
        ("exports/A_frontal/qa.zip", "exports/A_frontal/scene_graph.zip"),
        ("A_frontal/qa", "A_frontal/scene_graph"),
        ("exports/B_frontal/qa.zip", "exports/B_frontal/scene_graph"),
    ],
)
def test_every_layout_does_as_well(qa, graph, tmp_path, read):
    plain, other = pack(tmp_path / "plain", members()), tmp_path / "other"
    pack(other, members(study=STUDY), qa, graph)  # bare id
    assert len(SOURCE.check(other)) == 2
    one, two = read(plain), read(other)
    assert one.annotations.drop("file").equals(two.annotations.drop("file"))
    assert one.rejects.drop("file").equals(two.rejects.drop("file"))


def test_the_frontal_export_comes_before_the_whole_release(tmp_path, read):
    pack(tmp_path, members([], {}))
    pack(tmp_path, members(), "exports/A_frontal/qa.zip", "exports/A_frontal/scene_graph.zip")
    assert read(tmp_path).annotations.height == 8
    assert {f.file.rpartition("/")[0] for f in read(tmp_path).files} == {"exports/A_frontal"}


def test_rating_codes_are_looked_up(tmp_path, read):
    pack(tmp_path, members([question("Q?", answer("A."), quality=4)], {}))
    legend = tmp_path / "quality_mappings.csv"
    legend.write_text(LEGEND)
    tables = read(tmp_path)
    assert tables.annotations["quality"].to_list() == ["A+"]
    assert tables.files[0].file == legend.name
    assert SOURCE.check(tmp_path)[-1] == legend.name


def test_parts_and_pool_change_nothing(tmp_path, read):
    qa, graph = members()
    for k in range(2, 6):
        new = (STUDY, f"5999990{k}")
        qa |= {key.replace(*new): text.replace(*new).replace("edema", f"edema {k}")
               for key, text in list(qa.items())[:1]}  # fmt: skip
        graph |= {key.replace(*new): text.replace(*new) for key, text in list(graph.items())[:2]}
    pack(tmp_path, (qa, graph))
    whole = read(tmp_path)
    few = type(SOURCE)(members_per_job=2)
    parts = read(tmp_path, source=few)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pooled = read(tmp_path, pool, source=few)
    assert whole.annotations.height == 5 * 8
    for tables in (parts, pooled):
        assert tables.annotations.equals(whole.annotations)
        assert tables.rejects.equals(whole.rejects) and tables.files == whole.files


def test_odd_items_are_rejects(tmp_path, read):
    questions = [
        question("Good?", answer("Fine.")),
        question(" ", answer("Fine.")),
        question("No answer?"),
        question("Only other?", answer("", "main_answer"), answer("More.", "details")),
        {"question": "no answers key"},
        "text",
        question(7, answer("x")),
        question("Bool?", answer("x"), quality=True),
    ]
    observations = {
        "O1": observation("a", localization={DICOM: place([[5, 5, 5, 9], [1, 1, 2, 2]])}),
        "O2": observation("b", localization={DICOM: place([[9, 5, 5, 9]])}),
        "O3": observation("c", localization={"not-an-image": place([[1, 1, 2, 2]])}),
        "O4": observation("d", localization={DICOM: place([[1, 2, 3]])}),
        "O5": observation("e", localization={DICOM: place([["1", 2, 3, 4]])}),
        "O6": observation(" ", summary_sentence=None, localization={DICOM: place([[1, 1, 2, 2]])}),
        "O7": [],
        "O8": observation("f", localization={DICOM: place(None)}),
        "O9": observation("g", "unclear", localization={DICOM: place([[1, 1, 2, 2]])}),
    }
    tables = read(pack(tmp_path, members(questions, observations)))
    assert tables.annotations["text"].to_list() == ["Good?", "a"]
    codes = tables.rejects.select(pl.col("key").str.strip_prefix(f"s{STUDY}/"), "code").rows()
    assert codes == [
        ("2", "empty-text"), ("3", "empty-text"), ("4", "empty-text"), ("5", "bad-value"),
        ("6", "bad-value"), ("7", "bad-value"), ("8", "bad-value"),
        ("O1", "zero-area-box"), ("O2", "zero-area-box"), ("O3", "bad-id"), ("O4", "bad-value"),
        ("O5", "bad-value"), ("O6", "empty-text"), ("O7", "bad-value"), ("O8", "no-box"),
        ("O9", "unknown-label"),
    ]  # fmt: skip


@pytest.mark.parametrize("layout", [("qa.zip", "scene_data.zip"), ("qa", "scene_data")])
def test_damaged_members_are_rejects(layout, tmp_path, read):
    broken = {
        "bad-json": ["", "{no json", "[]", '{"study_id": "s59999901"}', b"\xff\xfe{", "[" * 5000,
                     '{"study_id": "\ud800"}'.encode("utf-8", "surrogatepass")],
        "bad-id": [json.dumps({"study_id": "s1", "questions": [], "observations": {}})],
        "no-question": [json.dumps({"study_id": f"s{STUDY}", "questions": []})],
    }  # fmt: skip
    texts = [(code, text) for code, some in broken.items() for text in some]
    qa = {f"p19/{k:02}.qa.json": text for k, (_, text) in enumerate(texts)}
    empty = json.dumps({"study_id": f"s{STUDY}", "observations": {}})
    graph = {f"p19/{k:02}.scene_graph.json": text for k, (_, text) in enumerate(texts[:-1])}
    graph["p19/99.scene_graph.json"] = empty
    tables = read(pack(tmp_path, (qa, graph), *layout))
    wanted = [code for code, _ in texts]
    by_file = tables.rejects.group_by("file", maintain_order=True).agg("code")["code"].to_list()
    assert [list(codes) for codes in by_file] == [wanted, [*wanted[:-1], "no-box"]]
    assert tables.annotations.is_empty()


def test_missing_or_damaged_archives_are_one_sentence(tmp_path):
    with pytest.raises(ImaxrayError, match=r"Expected qa\.zip or qa in"):
        SOURCE.check(tmp_path)
    pack(tmp_path, members())
    (tmp_path / "scene_data.zip").rename(tmp_path / "else.zip")
    with pytest.raises(ImaxrayError, match=r"Expected scene_graph\.zip or scene_data\.zip"):
        SOURCE.check(tmp_path)
    whole = (tmp_path / "else.zip").read_bytes()
    (tmp_path / "scene_data.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImaxrayError, match="zip"):
        SOURCE.check(tmp_path)
    pack(tmp_path, ({"p19/s1.json": "{}"}, members()[1]))
    with pytest.raises(ImaxrayError, match=r"members that end in \.qa\.json"):
        SOURCE.read(tmp_path)


def test_damaged_bytes_are_rejects_or_one_sentence(tmp_path, read):
    pack(tmp_path, members(), "qa", "scene_data")
    folder = pack(tmp_path / "zipped", members())
    paths = [p for p in sorted(tmp_path.rglob("*")) if p.is_file() and "metadata" not in p.name]
    whole = {path: path.read_bytes() for path in paths}
    rng = random.Random(0)
    kept = set()
    for trial in range(120):
        for path, content in whole.items():
            data = bytearray(content[: rng.randrange(len(content))] if trial % 4 == 0 else content)
            for _ in range(rng.randrange(1, 6)):
                if data:
                    k = rng.randrange(len(data))
                    data[k] = rng.choice(b'",{}[]\\:9') if k % 2 else rng.randrange(256)
            path.write_bytes(bytes(data))
        for root in (tmp_path, folder):
            try:
                kept.add(read(root).annotations.height)
            except ImaxrayError:
                kept.add(None)
    assert None in kept and 0 in kept and len(kept) > 3


def test_the_account_closes_in_a_catalog(phantom_releases, tmp_path):
    jpg = tmp_path / "mimic-cxr-jpg"
    shutil.copytree(phantom_releases["mimic-cxr-jpg"], jpg, ignore=shutil.ignore_patterns("files"))
    images = get_source("mimic-cxr-jpg").read(jpg).images
    frontal = images.filter(pl.col("view").is_in(["PA", "AP"])).sort("image_id").row(0, named=True)
    dicom, study = (frontal[k].rpartition("/")[2] for k in ("image_id", "study_id"))
    width, height = frontal["width"], frontal["height"]
    graph = {
        "O01": observation("effusion", localization={
            dicom: place([[-5, 10, width + 50, 20], [width + 1, 0, width + 9, 9]]),
            SECOND: place([[1, 1, 2, 2]]),
        }),
        "O02": observation("edema", localization={dicom: place([[1, height, 9, height + 9]])}),
    }  # fmt: skip
    root = pack(tmp_path / "qba", members(QUESTIONS, graph, f"s{study}"))
    pack(root, [{**m, k.replace(STUDY, "59999909"): t.replace(study, "59999909")}
                 for m in members(QUESTIONS, graph, f"s{study}")
                 for k, t in list(m.items())[:1]])  # fmt: skip
    catalog = build_catalog({"mimic-cxr-jpg": jpg, "mimic-ext-cxr-qba": root}, verify="none")
    mine = pl.col("source") == "mimic-ext-cxr-qba"
    facts = catalog.annotations.filter(mine)
    group = images.filter(
        pl.col("study_id") == frontal["study_id"], pl.col("view").is_in(["PA", "AP"])
    )
    asked = facts.filter(pl.col("kind") == "qa")
    assert set(asked["image_id"]) == set(group["image_id"])
    assert asked.height == len(QUESTIONS) * group.height
    regions = facts.filter(pl.col("kind") == "region")
    assert regions.select("image_id", "text", "boxes").rows() == [
        (frontal["image_id"], "effusion", [[0.0, 10.0, float(width), 20.0]]),
    ]  # fmt: skip
    gone = catalog.rejects.filter(mine, pl.col("file") == "scene_data.zip")
    assert gone["code"].to_list().count("box-outside-frame") == 2
    assert "unknown-image" in gone["code"].to_list()
    account = catalog.account.filter(mine).drop("source").rows()
    assert account == [("qa.zip", 2, 1, 1), ("scene_data.zip", 2, 1, 1)]
    assert {"rec", "reg", "vqa"} <= set(catalog.entries["task"])
