"""Pages and pictures of what a run has learnt, for people."""
