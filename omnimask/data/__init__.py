"""From files to the batch of any step; what readers of several modalities share."""
