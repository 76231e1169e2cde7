"""One module per feature, and the model behind one of them."""
