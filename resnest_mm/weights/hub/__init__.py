"""From the name, path or URL of a checkpoint to a file on this machine with the right checksum."""
