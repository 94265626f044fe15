"""Starts LLaMA-Factory with ``settings.yaml`` up to the tokens of the rows, by its own code.

Usage: read_llamafactory_settings.py FOLDER TEMPLATE …: an export, and the template for settings
that name none; can be repeated. Prints one JSON line for each export, with its settings and, for
each row, its tokens with the tool's limit and without one. A token is a byte, and so is every mark
of a template that its tokenizer does not have as a special token, so that real tokenizers have
fewer.
"""

import importlib.machinery
import json
import os
import sys
import types
from types import SimpleNamespace

# as in read_llamafactory.py: torchaudio does not load here, and nothing of it is called
audio = types.ModuleType("torchaudio")
audio.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
sys.modules["torchaudio"] = audio

from llamafactory.data import loader  # noqa: E402
from llamafactory.data.processor import SupervisedDatasetProcessor  # noqa: E402
from llamafactory.data.template import get_template_and_fix_tokenizer  # noqa: E402
from llamafactory.hparams.parser import _parse_train_args, read_args  # noqa: E402
from llamafactory.model.patcher import patch_processor  # noqa: E402
from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil  # noqa: E402
from transformers.models.gemma3.image_processing_pil_gemma3 import (  # noqa: E402
    Gemma3ImageProcessorPil,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import (  # noqa: E402
    GotOcr2ImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (  # noqa: E402
    Qwen2VLImageProcessorPil,
)

SPECIAL = ["<|im_start|>", "<|im_end|>", "<|image_pad|>", "<IMG_CONTEXT>", "<image_soft_token>",
           "<image>", "<s>", "</s>"]  # fmt: skip
SOFT = "\n\n<start_of_image>" + "<image_soft_token>" * 256 + "<end_of_image>\n\n"


def qwen(patch, least, most):
    processor = Qwen2VLImageProcessorPil(
        patch_size=patch, size={"shortest_edge": least, "longest_edge": most}
    )
    return SimpleNamespace(image_processor=processor, video_processor=processor, merge_size=2)


PROCESSORS = {  # of the released checkpoints
    "gemma3": lambda: SimpleNamespace(
        image_processor=Gemma3ImageProcessorPil(size={"height": 896, "width": 896}),
        boi_token="<start_of_image>", full_image_sequence=SOFT,
    ),
    "intern_vl": lambda: SimpleNamespace(
        image_processor=GotOcr2ImageProcessorPil(size={"height": 448, "width": 448}),
        image_seq_length=256,
    ),
    "llava": lambda: SimpleNamespace(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}
        ),
        patch_size=14, num_additional_image_tokens=1, vision_feature_select_strategy="default",
    ),
    "qwen2_vl": lambda: qwen(14, 3136, 12_845_056),
    "qwen3_vl_nothink": lambda: qwen(16, 65_536, 16_777_216),
}  # fmt: skip


def bytes_tokenizer():
    letters = pre_tokenizers.ByteLevel.alphabet()
    model = Tokenizer(models.BPE({c: n for n, c in enumerate(sorted(letters))}, []))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=model, eos_token="</s>", bos_token="<s>")
    made.add_special_tokens({"additional_special_tokens": SPECIAL})
    return made


def read(folder, template_name):
    """Return the settings that the tool has read, and the tokens of its rows."""
    os.chdir(folder)
    sys.argv = ["llamafactory-cli", "settings.yaml", "use_cpu=true", "report_to=none"]
    model, data, training, tuning, _ = _parse_train_args(read_args())
    told = {
        "cutoff_len": data.cutoff_len, "template": data.template, "stage": tuning.stage,
        "image_max_pixels": model.image_max_pixels, "image_min_pixels": model.image_min_pixels,
        "do_train": training.do_train, "dataset": data.dataset, "eval_dataset": data.eval_dataset,
    }  # fmt: skip
    limit, data.template = data.cutoff_len, data.template or template_name
    data.overwrite_cache = True
    tokenizer, processor = bytes_tokenizer(), PROCESSORS[data.template]()
    patch_processor(processor, tokenizer, model)
    template = get_template_and_fix_tokenizer(tokenizer, data)
    tokens = []
    for name in data.dataset + (data.eval_dataset or []):
        rows = loader._get_merged_dataset([name], model, data, training, "sft")
        lengths = []
        for data.cutoff_len in (limit, 10**9):
            work = SupervisedDatasetProcessor(template, tokenizer, processor, data)
            done = work.preprocess_dataset(rows[:])
            assert len(done["input_ids"]) == len(rows)
            lengths.append([len(ids) for ids in done["input_ids"]])
        tokens += zip(*lengths, strict=True)
    return {**told, "rows": tokens}


for folder, name in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    print("ROW " + json.dumps(read(folder, name)))
