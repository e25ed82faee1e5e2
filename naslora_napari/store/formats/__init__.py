"""Import and export of labels. docs/formats.md says what each format keeps. No Qt, no torch."""

from .exporting import ExportReport, export_project
from .importing import ImportedImage, ImportReport, import_labels
from .registry import FORMATS, Format

__all__ = ["FORMATS", "ExportReport", "Format", "ImportReport", "ImportedImage", "export_project", "import_labels"]
