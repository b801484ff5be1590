"""What a frozen encoder is worth on labelled samples, on its own and while it is trained."""
