"""Faults that tests plant into data of every format, and the table of what the audit finds.

Run: PYTHONPATH=tests python -m audit.plants
This plants each fault into each format and prints the table of docs/audit.md.
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageOps

from audit.formats import EXPORTS, FOREIGN, Croissant, R2Gen, as_png, make_dataset

FORMATS = (*EXPORTS, *FOREIGN)


def empty_answer(data):
    data.change(data.of("train"), answer=" ")


def yes_and_no(data):
    again = data.copy(data.asked())
    data.change(again, answer="No")
    data.add("train", again)


def patient_over_splits(data):
    data.set_patient(data.of("train"), data.of("test"))


def image_over_splits(data):
    data.set_image(data.of("train"), data.of("test"))


def missing_image(data):
    data.set_bytes(data.of("test"), None)


def damaged_image(data):
    data.set_bytes(data.of("test"), data.bytes_of(data.of("test"))[:40])


def not_an_image(data):
    data.set_bytes(data.of("test"), b"<html>not found</html>")


def copied(split, change):
    """Plant that makes an image a changed copy of the first image of train."""

    def plant(data):
        first = data.bytes_of(data.of("train"))
        target = next(row for row in data.rows[split] if data.bytes_of(row) != first)
        with Image.open(io.BytesIO(first)) as image:
            data.set_bytes(target, as_png(change(image)))

    return plant


def cropped(image):
    wide, high = image.size
    return image.crop((wide // 16, high // 20, wide * 15 // 16, high * 19 // 20)).resize(
        (wide, high)
    )


def smaller(image):
    return image.resize((image.width // 2, image.height // 2))


def answer_in_the_prompt(data):
    answer, row = next(
        (data.answer_of(row), row)
        for row in data.rows["train"]
        if "effusion" in data.answer_of(row)
    )
    data.change(row, question=lambda text: f"{text} {answer}")


def bad_record(data):
    data.spoil(data.of("train"))


Turn = Image.Transpose
# fault -> plant, code, and codes that the fault may also raise
PLANTS = {
    "an empty answer": (empty_answer, "empty-answer", ()),
    "yes and no": (yes_and_no, "contradicting-answers", ()),
    "a patient over splits": (patient_over_splits, "patient-over-splits", ()),
    "an image over splits": (image_over_splits, "image-over-splits",
                             ("patient-over-splits", "entry-image", "duplicate-over-splits")),
    "a missing image": (missing_image, "broken-image", ()),
    "a damaged image": (damaged_image, "broken-image", ()),
    "a page in place of an image": (not_an_image, "broken-image", ()),
    "equal pixels in a split": (copied("train", lambda i: i), "duplicate-image", ()),
    "equal pixels over splits": (copied("test", lambda i: i), "duplicate-over-splits", ()),
    "a smaller copy over splits": (copied("test", smaller), "near-duplicate", ("broken-image",)),
    "a mirrored copy over splits": (
        copied("test", lambda i: i.transpose(Turn.FLIP_LEFT_RIGHT)), "near-duplicate", ()),
    "a turned copy over splits": (
        copied("test", lambda i: i.transpose(Turn.ROTATE_180)), "near-duplicate", ()),
    "an inverted copy over splits": (copied("test", ImageOps.invert), "near-duplicate", ()),
    "a cropped copy over splits": (copied("test", cropped), "near-duplicate", ()),
    "the answer in the prompt": (answer_in_the_prompt, "prompt-target", ()),
    "a record that cannot be read": (bad_record, "bad-record", ()),
}  # fmt: skip
NOT_HERE = {
    (R2Gen, "yes and no"),  # it has no questions
    (R2Gen, "the answer in the prompt"),
    (Croissant, "a record that cannot be read"),  # columns have types; see entry-image
}


FOUND, MISSED, CANNOT = "yes", "no", "–"


def result(rows, plant):
    """Plant a fault into rows and audit them; return the report."""
    spoil, _, _ = PLANTS[plant]
    spoil(rows)
    rows.save()
    return rows.audit()


def is_found(report, plant):
    """Return whether a report has the fault, and nothing that the fault does not cause."""
    _, code, also = PLANTS[plant]
    found = {issue.code for issue in report.issues}
    over = {issue.split for issue in report.issues if issue.code == code}
    return code in found <= {code, *also} and ("over splits" not in plant or over == {"train+test"})


def table(cell):
    """Return the table of faults and formats; ``cell(form, plant)`` says if a fault was found."""
    lines = [
        ["fault", "finding", *(form.title for form in FORMATS)],
        ["---", "---", *(":-:" for _ in FORMATS)],
        *([plant, f"`{code}`", *(cell(form, plant) for form in FORMATS)]
          for plant, (_, code, _) in PLANTS.items()),
    ]  # fmt: skip
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def expected(form, plant):
    """Return the cell of a fault that is found wherever the format can have it."""
    return CANNOT if (form, plant) in NOT_HERE else FOUND


def main():
    """Plant all faults, print the table, and fail if one was not found."""
    with tempfile.TemporaryDirectory() as made:
        dataset = make_dataset(Path(made))

        def cell(form, plant):
            if (form, plant) in NOT_HERE:
                return CANNOT
            clean, spoiled = Path(made) / form.__name__, Path(made) / "spoiled"
            if not clean.exists():
                form.make(dataset, clean)
            shutil.copytree(clean, spoiled, symlinks=True)
            report = result(form(spoiled), plant)
            shutil.rmtree(spoiled)
            return FOUND if is_found(report, plant) else MISSED

        printed = table(cell)
    cells = [cell for line in printed.splitlines()[2:] for cell in line.split(" | ")[2:]]
    found, missed = (sum(c.strip(" |") == what for c in cells) for what in (FOUND, MISSED))
    print(f"{printed}\n\n{found} found, {missed} not found")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
