"""The report on a finished training: table, record and pictures."""
