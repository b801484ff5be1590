"""What a developer or an operator runs beside the library; not installed."""
