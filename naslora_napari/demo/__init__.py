"""The whole loop on the sample images, in the real window, with a report."""

from .run import run_demo

__all__ = ["run_demo"]
