"""Exports a dataset in the formats that fine-tuning and data tools read."""

from imaxray.export.conventions import list_conventions
from imaxray.export.writer import ExportReport, export_dataset, list_formats

__all__ = ["ExportReport", "export_dataset", "list_conventions", "list_formats"]
