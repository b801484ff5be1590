"""What tools/make_sample_data.py writes, one file per part: `jobs(scale)` and `write(job, ...)`."""
