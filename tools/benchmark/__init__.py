"""What `tools/bench.py` and `tools/gpu_day.py` share."""
