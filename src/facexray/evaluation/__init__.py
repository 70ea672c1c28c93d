"""Judging a model on labelled data: AUC, AP, EER with intervals."""
