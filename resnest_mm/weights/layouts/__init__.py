"""Key layouts: how each software names the tensors of a ResNeSt, and how to tell them apart."""
