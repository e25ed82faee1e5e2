"""What the plugin ships that is not code: the model registry, sample images and icons."""
