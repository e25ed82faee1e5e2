"""``python -m naslora_napari``: the same as the command ``naslora``."""

from naslora_napari.cli import main

if __name__ == "__main__":
    main()
