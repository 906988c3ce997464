"""The composition root: the command line, the local stack, the demo."""
