"""Options of the command line that change a config: each function returns a changed copy."""
