"""Measuring facexray's own speed."""
