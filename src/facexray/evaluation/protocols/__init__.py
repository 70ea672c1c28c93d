"""Readers of data sets as their authors distribute them: official layout on disk → manifest."""
