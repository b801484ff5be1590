"""Where files come from that do not lie in a folder: lists, tar shards, Parquet, URLs."""
