"""Tests that our evaluation does not make known mistakes of other evaluators."""

import polars as pl
import pytest

from imaxray import metrics
from imaxray.boxes import get_convention
from imaxray.evaluation import score
from imaxray.evaluation.scoring import point
from imaxray.metrics import text
from imaxray.schema import ENTRIES, IMAGES, conform
from imaxray.tasks import get_task, to_json

IMAGES_TABLE = conform(
    pl.DataFrame({"image_id": ["c/1"], "patient_id": ["c/p"], "width": [200], "height": [100]}),
    IMAGES,
)


def scored(task, gold, answer, *, template="x", boxes="percent"):
    """Metrics of one entry with one answer, by name."""
    entries = conform(
        pl.DataFrame(
            {
                "entry_id": ["e"], "image_id": ["c/1"], "patient_id": ["c/p"], "task": [task],
                "split": ["test"], "answer": [to_json(gold)], "template": [f"{task}.{template}.0"],
            }
        ),
        ENTRIES,
    )  # fmt: skip
    predictions = pl.DataFrame(
        {"entry_id": ["e"], "text": [answer]}, schema_overrides={"text": pl.String}
    )
    of_task = score(entries, predictions, IMAGES_TABLE, get_convention(boxes)).tasks[task]
    return {name: point(of_task, get_task(task).metric(name)) for name in of_task.statistics}


@pytest.mark.parametrize("answer", ["normal", "The heart is normal.", "nodule", "unknown"])
def test_no_inside_normal_is_no_answer(answer):
    assert scored("vqa", {"closed": True, "answers": ["no"]}, answer)["closed accuracy"] == 0.0


def test_precision_recall_and_f1_are_not_swapped():
    """True precision 1/2, recall 1, F1 2/3: MedEvalKit prints .667, .5 and 1."""
    found = scored("vqa", {"closed": False, "answers": ["effusion"]}, "left effusion")
    assert found["open recall"] == 1.0
    assert found["open F1"] == pytest.approx(2 / 3)
    assert text.token_recall("left effusion", "effusion") == 0.5


@pytest.mark.parametrize(
    ("task", "gold"),
    [("calculation", 0.4), ("report", {"findings": "the lungs are clear"}), ("grading", 2),
     ("findings", {"Edema": 1}), ("rec", [[0.0, 0.0, 20.0, 10.0]]), ("reg", ["left lung"]),
     ("vqa", {"closed": False, "answers": ["lung"]})],
)  # fmt: skip
@pytest.mark.parametrize("answer", ["", "   ", None, "<think>never ends"])
def test_empty_answers_do_not_vanish(task, gold, answer):
    """They are wrong in every metric of the task, and counted as invalid."""
    primary = get_task(task).primary
    found = scored(task, gold, answer)
    worst = primary.low if primary.higher_is_better else primary.high
    assert found[primary.name] == worst
    assert found["invalid"] == 1.0


def test_empty_answers_stay_in_the_divisor_of_captions():
    if lacking := metrics.missing_for_captions():
        pytest.skip(lacking)
    gold = {"findings": "small left pleural effusion"}
    other = {"findings": "the heart is enlarged today"}
    cider = get_task("report").metric("CIDEr")
    assert cider([gold, other], [gold, None]) == pytest.approx(
        cider([gold, other], [gold, other]) / 2
    )


def test_pixel_boxes_are_not_read_as_per_mille():
    """Numbers mean what the convention says, however plausible another reading is."""
    gold = [[20.0, 10.0, 100.0, 50.0]]  # of a 200 × 100 image: 100 … 500 per mille
    assert scored("rec", gold, "[100, 100, 500, 500]", boxes="per-mille")["mean IoU"] == 1.0
    assert scored("rec", gold, "[20, 10, 100, 50]", boxes="per-mille")["mean IoU"] < 0.2
    # beyond the frame: unreadable, not rescaled
    found = scored("rec", gold, "[100, 100, 1500, 500]", boxes="per-mille")
    assert found["mean IoU"] == 0.0
    assert found["invalid"] == 1.0
    assert scored("rec", gold, "[0.1, 0.1, 0.5, 0.5]", boxes="percent")["invalid"] == 1.0


def test_y_first_boxes_are_read_y_first():
    """A square model frame pads the 200 × 100 image; only the declared order finds the box."""
    convention = get_convention("box-2d")
    gold = (20.0, 10.0, 100.0, 30.0)
    answer = convention.render(gold, 200, 100)
    assert answer.index("box_2d") > 0
    assert scored("rec", [list(gold)], answer, boxes="box-2d")["mean IoU"] > 0.95
    numbers = answer[answer.index("[") + 1 : answer.index("]")].split(",")
    y1, x1, y2, x2 = (number.strip() for number in numbers)
    turned = answer.replace(answer[answer.index("[") :], f"[{x1}, {y1}, {x2}, {y2}]}}")
    assert scored("rec", [list(gold)], turned, boxes="box-2d")["mean IoU"] < 0.5


@pytest.mark.parametrize("step", [1.0, 0.1, 1 / 3, 7.3])
def test_an_iou_of_exactly_one_half_counts(step):
    """Uni-Med asks for more than one half; binary fractions must not decide it either."""
    gold = [(step, step, step + 2 * step, step + step)]
    half = [(step, step, step + step, step + step)]
    assert metrics.accuracy_at(0.5)([gold], [half]) == 1.0
    less = [(step, step, step + 0.999 * step, step + step)]
    assert metrics.accuracy_at(0.5)([gold], [less]) == 0.0


def test_a_denied_finding_is_not_named():
    """RadVLM looks for the label as a substring."""
    found = scored("findings", {"Pleural Effusion": 0, "Edema": 1}, "Edema. No pleural effusion.")
    assert found["micro F1"] == 1.0


def test_samples_without_boxes_are_not_skipped():
    metric = metrics.mean_iou()
    box = [(0.0, 0.0, 1.0, 1.0)]
    assert metric([box, box], [box, None]) == 0.5


def test_a_box_too_many_costs():
    """RadVLM averages over all pairs, which a one-to-one matching does not."""
    gold = [(0.0, 0.0, 1.0, 1.0), (5.0, 5.0, 6.0, 6.0)]
    assert metrics.mean_iou()([gold], [gold]) == 1.0
    assert metrics.mean_iou()([gold], [[*gold, (8.0, 8.0, 9.0, 9.0)]]) == pytest.approx(2 / 3)
