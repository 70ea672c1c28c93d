"""Blended images and their Face X-rays. NumPy and OpenCV alone; randomness only in `recipe.draw_recipe`."""
