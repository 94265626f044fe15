"""Small clean data in every format that the audit reads, which tests spoil row by row.

Each class holds the rows of one format, and says where a row keeps its question, answer, patient
and image.
"""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from imaxray.audit import audit_dataset
from imaxray.curation import Tables, open_dataset, write_dataset
from imaxray.export import ExportConfig, export_dataset
from imaxray.schema import ANNOTATIONS, IMAGES, conform
from imaxray.tasks import make_entries

SIZE = (256, 192)
PLACES = {"a": ("10000001", "train"), "b": ("10000002", "train"), "c": ("10000003", "test")}
ASKED = "Is there edema?"


def draw(path, seed):
    """An image that looks like no other: coarse noise, so that it survives being resized."""
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC).save(path)


def make_dataset(folder):
    """Three images with a report, a box and a question each."""
    for seed, name in enumerate(PLACES):
        draw(folder / "release" / f"{name}.png", seed)
    images = conform(
        pl.DataFrame([
            {"image_id": f"c/{i}", "patient_id": f"c/{p}", "split": s, "path": f"{i}.png",
             "width": SIZE[0], "height": SIZE[1], "view": "PA", "source": "x", "file": "x",
             "row": n}
            for n, (i, (p, s)) in enumerate(PLACES.items(), start=1)
        ]),
        IMAGES,
    )  # fmt: skip
    facts = [
        {"image_id": f"c/{i}", "origin": "human", "quality": "q", "source": "x", "file": "x",
         "row": 1, **fact}
        for i in PLACES
        for fact in (
            {"kind": "report", "name": "findings", "text": "Small effusion. No pneumothorax."},
            {"kind": "region", "name": "heart", "text": "heart", "boxes": [[10.0, 8, 40, 48]]},
            {"kind": "qa", "name": "verify", "value": 1.0, "text": ASKED, "answers": ["yes"]},
        )
    ]  # fmt: skip
    annotations = conform(pl.DataFrame(facts, infer_schema_length=None), ANNOTATIONS)
    tables = Tables(
        images, annotations, make_entries(annotations, images), roots={"x": folder / "release"}
    )
    write_dataset(tables, folder / "data", config={}, seed=0)
    return open_dataset(folder / "data")


def dug(row, path):
    for key in path:
        row = row[key]
    return row


def put(row, path, value):
    dug(row, path[:-1])[path[-1]] = value


class Rows:
    """Rows of one format.

    A row is a JSON object and, in formats with several entries per object, the number of the entry.
    """

    question: tuple = ()
    answer: tuple = ()
    image: tuple = ()
    title = ""
    """Name of the format in the documentation."""

    def __init__(self, folder):
        self.folder = folder
        self.load()

    @classmethod
    def make(cls, dataset, folder):
        """Write clean data."""

    def load(self):
        """Read the rows of train and test."""

    def save(self):
        """Write the rows back."""

    def of(self, split, wanted=""):
        """Return the first row of a split whose question, or answer, has a word."""
        return next(
            row for row in self.rows[split] if wanted in str(dug(*self._at(row, self.question or
                                                                            self.answer)))
        )  # fmt: skip

    def asked(self, split="train"):
        return self.of(split, ASKED)

    def _at(self, row, path):
        return row, path

    def answer_of(self, row):
        return dug(*self._at(row, self.answer))

    def change(self, row, *, question=None, answer=None):
        if question is not None:
            where, path = self._at(row, self.question)
            put(where, path, question(dug(where, path)))
        if answer is not None:
            where, path = self._at(row, self.answer)
            put(where, path, answer)

    def add(self, split, row):
        self.rows[split].append(row)

    def copy(self, row):
        return json.loads(json.dumps(row))

    def set_patient(self, row, other):
        row["patient_id"] = other["patient_id"]

    def set_image(self, row, other):
        put(row, self.image, dug(other, self.image))

    def spoil(self, row):
        """Make a row that cannot be read."""
        put(row, self.answer, 7)

    def file_of(self, row):
        return self.folder / dug(row, self.image)

    def bytes_of(self, row):
        return self.file_of(row).read_bytes()

    def set_bytes(self, row, content):
        """Replace the file of an image; None removes it."""
        if content is None:
            self.file_of(row).unlink()
        else:
            self.file_of(row).write_bytes(content)

    def audit(self):
        return audit_dataset(self.folder)


class JsonRows(Rows):
    """Rows in files that are named after their split."""

    def load(self):
        self.rows = {}
        self.paths = {}
        for split in ("train", "test"):
            [path] = [p for p in self.folder.iterdir() if p.stem == split]
            text = path.read_text()
            self.paths[split] = path
            self.rows[split] = json.loads(text) if path.suffix == ".json" else [
                json.loads(line) for line in text.strip().split("\n")
            ]  # fmt: skip

    def save(self):
        for split, rows in self.rows.items():
            lines = [json.dumps(row) for row in rows]
            as_list = self.paths[split].suffix == ".json"
            self.paths[split].write_text(f"[{','.join(lines)}]" if as_list else "\n".join(lines))


class Exported(JsonRows):
    """Rows that imaxray exported."""

    @classmethod
    def make(cls, dataset, folder):
        given = {"boxes": "per-mille"} if cls.boxes else {}
        export_dataset(dataset, cls.form, folder, ExportConfig(images="copy", **given))

    boxes = True

    def set_patient(self, row, other):
        meta, theirs = json.loads(row["meta"]), json.loads(other["meta"])
        row["meta"] = json.dumps({**meta, "patient_id": theirs["patient_id"]})


class LlamaFactory(Exported):
    title = "LLaMA-Factory"
    form = "llamafactory"
    question, answer, image = ("messages", 0, "content"), ("messages", 1, "content"), ("images", 0)


class Swift(LlamaFactory):
    title = "ms-swift"
    form = "swift"
    boxes = False


class Llava(Exported):
    title = "LLaVA"
    form = "llava"
    question = ("conversations", 0, "value")
    answer = ("conversations", 1, "value")
    image = ("image",)


class Trl(Exported):
    """Parquet whose images lie in their releases."""

    title = "TRL, paths"
    form = "trl"
    how = "path"
    question = ("prompt", 0, "content", -1, "text")
    answer = ("completion", 0, "content", 0, "text")
    image = ("images", 0, "path")

    @classmethod
    def make(cls, dataset, folder):
        config = ExportConfig(images=cls.how, boxes="per-mille")
        export_dataset(dataset, "trl", folder, config)
        if cls.how == "path":
            shutil.copytree(dataset.tables.roots["x"], folder / "release")

    def load(self):
        self.paths = {split: self.folder / f"{split}.parquet" for split in ("train", "test")}
        tables = {split: pq.read_table(path) for split, path in self.paths.items()}
        self.schema = tables["train"].schema
        self.rows = {split: table.to_pylist() for split, table in tables.items()}
        for row in (row for rows in self.rows.values() for row in rows):
            if self.how == "path":  # a test may spoil the copies
                row["images"][0]["path"] = str(
                    self.folder / "release" / Path(row["images"][0]["path"]).name
                )

    def save(self):
        for split, rows in self.rows.items():
            pq.write_table(pa.Table.from_pylist(rows, schema=self.schema), self.paths[split])

    def copy(self, row):
        [made] = pa.Table.from_pylist([row], schema=self.schema).to_pylist()
        return made

    def spoil(self, row):
        row["completion"] = []


class TrlCopies(Trl):
    """Parquet that holds its images."""

    title = "TRL, copies"
    how = "copy"
    image = ("images", 0)

    def bytes_of(self, row):
        return row["images"][0]["bytes"]

    def set_bytes(self, row, content):
        name = row["images"][0]["path"]
        for other in (other for rows in self.rows.values() for other in rows):
            if other["images"][0]["path"] == name:
                other["images"] = [{"bytes": content, "path": name}]


class FiftyOne(Rows):
    """One object per image, with several entries."""

    title = "FiftyOne"
    question, answer, image = ("prompt",), ("target",), ("filepath",)

    @classmethod
    def make(cls, dataset, folder):
        export_dataset(dataset, "fiftyone", folder, ExportConfig(images="copy"))

    def load(self):
        samples = json.loads((self.folder / "samples.json").read_text())["samples"]
        self.rows = {
            split: [(s, n) for s in samples if split in s["tags"] for n in range(len(s["entries"]))]
            for split in ("train", "test")
        }

    def save(self):
        samples = {id(s): s for rows in self.rows.values() for s, _ in rows}
        content = json.dumps({"samples": list(samples.values())})
        (self.folder / "samples.json").write_text(content)

    def _at(self, row, path):
        return row[0]["entries"][row[1]], path

    def copy(self, row):
        return row[0], json.loads(json.dumps(row[0]["entries"][row[1]]))

    def add(self, split, row):
        row[0]["entries"].append(row[1])

    def change(self, row, **given):
        if isinstance(row[1], dict):  # a copy that has not been added
            row[1]["target"] = given["answer"]
        else:
            super().change(row, **given)

    def set_patient(self, row, other):
        row[0]["patient_id"] = other[0]["patient_id"]

    def set_image(self, row, other):
        row[0]["filepath"] = other[0]["filepath"]

    def spoil(self, row):
        row[0]["entries"][row[1]] = {"task": "vqa"}

    def file_of(self, row):
        return self.folder / row[0]["filepath"]


class Croissant(Rows):
    """Tables; the images lie in a folder that the audit is told."""

    title = "Croissant"
    question, answer, image = ("prompt",), ("target",), ("image_id",)

    @classmethod
    def make(cls, dataset, folder):
        export_dataset(dataset, "croissant", folder)
        shutil.copytree(dataset.tables.roots["x"], folder / "release")

    def load(self):
        self.tables = {
            split: pl.read_parquet(self.folder / "entries" / f"{split}.parquet")
            for split in ("train", "test")
        }
        self.rows = {split: table.to_dicts() for split, table in self.tables.items()}
        self.images = pl.read_parquet(self.folder / "images.parquet")

    def save(self):
        for split, rows in self.rows.items():
            table = pl.DataFrame(rows, schema=self.tables[split].schema)
            table.write_parquet(self.folder / "entries" / f"{split}.parquet")
        self.images.write_parquet(self.folder / "images.parquet")

    def set_patient(self, row, other):
        mine = pl.col("image_id") == row["image_id"]
        theirs = pl.lit(other["patient_id"])
        patient = pl.when(mine).then(theirs).otherwise("patient_id").alias("patient_id")
        self.images = self.images.with_columns(patient)
        for each in self.rows["train"]:
            if each["image_id"] == row["image_id"]:
                each["patient_id"] = other["patient_id"]

    def spoil(self, row):
        row["image_id"] = "c/nowhere"

    def file_of(self, row):
        return self.folder / "release" / f"{row['image_id'].removeprefix('c/')}.png"

    def audit(self):
        return audit_dataset(self.folder, images=self.folder / "release")


class Foreign(JsonRows):
    """Rows as another tool writes them."""

    @classmethod
    def make(cls, dataset, folder):
        folder.mkdir()
        rows = {"train": [], "test": []}
        for seed, (name, (patient, split)) in enumerate(PLACES.items()):
            draw(folder / f"{name}.png", seed)
            for asked, answer in ((ASKED, "Yes"), ("What is shown?", "A small effusion.")):
                row = cls.row(f"{name}.png", asked, answer)
                rows[split].append({**row, "patient_id": patient})
        for split, of_split in rows.items():
            (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, of_split)))


class Alpaca(Foreign):
    title = "Alpaca"
    question, answer, image = ("instruction",), ("output",), ("images", 0)

    @staticmethod
    def row(image, question, answer):
        return {"instruction": question, "input": "", "output": answer, "images": [image]}


class Query(Foreign):
    title = "query/response"
    question, answer, image = ("query",), ("response",), ("images", 0)

    @staticmethod
    def row(image, question, answer):
        return {"query": f"<image>{question}", "response": answer, "images": [image]}


class TrlTexts(Foreign):
    title = "prompt/completion"
    question, answer, image = ("prompt",), ("completion",), ("images", 0)

    @staticmethod
    def row(image, question, answer):
        return {"prompt": question, "completion": answer, "images": [image]}


class Questions(Foreign):
    """Questions and answers, as VQA-RAD and others publish them."""

    title = "question/answer"
    question, answer, image = ("question",), ("answer",), ("image_name",)

    @staticmethod
    def row(image, question, answer):
        return {"question": question, "answer": answer, "image_name": image}

    def spoil(self, row):
        row["answer"] = None


class Blocks(Foreign):
    """Messages of blocks, with the image in a block."""

    title = "blocks"
    question = ("messages", 0, "content", 1, "text")
    answer = ("messages", 1, "content")
    image = ("messages", 0, "content", 0, "image")

    @staticmethod
    def row(image, question, answer):
        blocks = [{"type": "image", "image": image}, {"type": "text", "text": question}]
        return {"messages": [{"role": "user", "content": blocks},
                             {"role": "assistant", "content": answer}]}  # fmt: skip


class Qwen(Foreign):
    """Qwen-VL, with the image in the text."""

    title = "Qwen-VL"
    question = ("conversations", 0, "value")
    answer = ("conversations", 1, "value")

    @staticmethod
    def row(image, question, answer):
        return {"conversations": [
            {"from": "user", "value": f"Picture 1: <img>{image}</img>\n{question}"},
            {"from": "assistant", "value": answer},
        ]}  # fmt: skip

    def _image(self, row):
        return dug(row, self.question).split("<img>")[1].split("</img>")[0]

    def set_image(self, row, other):
        mine, theirs = self._image(row), self._image(other)
        self.change(row, question=lambda text: text.replace(mine, theirs))

    def file_of(self, row):
        return self.folder / self._image(row)


class R2Gen(Foreign):
    """Reports without questions; one file holds all splits."""

    title = "R2Gen"
    answer, image = ("report",), ("image_path", 0)

    @classmethod
    def make(cls, dataset, folder):
        folder.mkdir()
        whole = {"train": [], "test": []}
        for seed, (name, (patient, split)) in enumerate(PLACES.items()):
            draw(folder / f"{name}.png", seed)
            whole[split].append({
                "id": name, "report": "A small effusion.", "image_path": [f"{name}.png"],
                "patient_id": patient, "split": split,
            })  # fmt: skip
        (folder / "annotation.json").write_text(json.dumps(whole))

    def load(self):
        self.rows = json.loads((self.folder / "annotation.json").read_text())

    def save(self):
        (self.folder / "annotation.json").write_text(json.dumps(self.rows))


EXPORTS = (LlamaFactory, Swift, Llava, Trl, TrlCopies, FiftyOne, Croissant)
FOREIGN = (Alpaca, Query, TrlTexts, Questions, Blocks, Qwen, R2Gen)


def as_png(image):
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()
