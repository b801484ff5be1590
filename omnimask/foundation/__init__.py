"""What every room stands on: errors, records and their JSON, counter-based randomness, versions."""
