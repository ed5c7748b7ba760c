"""The predictions of a trained model on the images of a split."""
