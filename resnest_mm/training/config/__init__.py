"""Reading a config and changing it by command-line options."""
