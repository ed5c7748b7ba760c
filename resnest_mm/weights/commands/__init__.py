"""The work behind the checkpoint tools: convert, inspect, publish."""
