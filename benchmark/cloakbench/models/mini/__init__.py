"""The embedded models: architecture, tokenizer, perceptual distance, weights, training."""
