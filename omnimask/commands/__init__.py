"""The `omnimask` command: one file a command; nothing heavy is imported until one runs."""
