"""Exports a dataset in the formats that fine-tuning and data tools read, or without content."""

from imaxray.boxes import list_conventions
from imaxray.export.config import ExportConfig
from imaxray.export.conversation import Conversation
from imaxray.export.formats import list_formats
from imaxray.export.pairs import BoxPair, list_box_pairs
from imaxray.export.share import ShareReport, share_dataset
from imaxray.export.tools.chat_format import ChatFormat, string_messages, write_json_lines
from imaxray.export.tools.settings import SETTINGS, Settings
from imaxray.export.writer import ExportReport, export_dataset

__all__ = [
    "SETTINGS",
    "BoxPair",
    "ChatFormat",
    "Conversation",
    "ExportConfig",
    "ExportReport",
    "Settings",
    "ShareReport",
    "export_dataset",
    "list_box_pairs",
    "list_conventions",
    "list_formats",
    "share_dataset",
    "string_messages",
    "write_json_lines",
]
