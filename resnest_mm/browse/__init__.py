"""Pictures of what a data pipeline feeds the model."""
