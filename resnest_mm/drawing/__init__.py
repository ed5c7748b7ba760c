"""Drawing that reports and the data set browser share."""
