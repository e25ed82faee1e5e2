"""A folder of images in, label images and measurements out. No Qt."""

from .segment import BatchReport, segment_folder

__all__ = ["BatchReport", "segment_folder"]
