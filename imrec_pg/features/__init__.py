"""One module per kind of feature, and the model that computes embeddings."""
