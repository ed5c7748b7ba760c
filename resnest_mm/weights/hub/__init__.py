"""From the name, path or URL of a checkpoint to a checked file on this machine."""
