"""Running a trained model without PyTorch, and the weights that ship."""
