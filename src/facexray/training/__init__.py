"""Training: the only part of facexray that imports torch, which comes with the extra `[train]`."""
