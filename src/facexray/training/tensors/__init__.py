"""The steps of `facexray.blending` on batches of tensors, for `facexray.training.renderer`."""
