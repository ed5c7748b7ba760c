"""The commands of the checkpoint tools: convert, inspect, publish."""
