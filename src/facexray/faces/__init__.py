"""Finding faces, describing them, cropping them, and keeping them."""
