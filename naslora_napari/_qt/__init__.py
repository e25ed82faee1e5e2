"""The dock and what happens on the canvas. Thin: models are in live, store, jobs and batch."""
