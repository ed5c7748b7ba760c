"""Kinds of data sets with boxes: COCO files, folders of Pascal VOC, and any list of instances."""
