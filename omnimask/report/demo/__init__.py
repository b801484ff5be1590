"""What `omnimask demo` shows of one sample: its mask, what the model fills in, its neighbours."""
