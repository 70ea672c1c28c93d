"""facexray: learn from real photographs alone where a face was blended in, and show it."""
