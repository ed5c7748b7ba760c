"""Pictures of the images that a data pipeline hands to the model."""
