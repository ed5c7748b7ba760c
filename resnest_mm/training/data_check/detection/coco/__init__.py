"""COCO files: the JSON itself, its lists, and what they mean to the classes of the config."""
