"""Icons of the plugin."""
