"""What happens while a person works: the live model, its worker, and the annotation of one image. No Qt."""

from .predictor import LivePredictor
from .session import AnnotationSession, ObjectStore
from .worker import LatestWorker

__all__ = ["AnnotationSession", "LatestWorker", "LivePredictor", "ObjectStore"]
