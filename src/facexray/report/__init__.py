"""Showing what was found: heat maps and self-contained HTML pages."""
