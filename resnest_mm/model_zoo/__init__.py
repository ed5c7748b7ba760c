"""The model zoo page, written from the metafiles beside the configs."""
