"""The social insurance gateway of the demo."""
