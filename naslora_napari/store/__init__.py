"""Projects on disk. No Qt, no torch."""

from .project import Project, ProjectError
from .records import Annotation, ClassInfo, ImageEntry, ObjectInfo, ProjectSummary

__all__ = ["Annotation", "ClassInfo", "ImageEntry", "ObjectInfo", "Project", "ProjectError", "ProjectSummary"]
