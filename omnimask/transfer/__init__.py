"""What a trained encoder is used for: probing, fine-tuning, vectors, imputing, other libraries."""
