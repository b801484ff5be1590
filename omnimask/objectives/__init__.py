"""What hidden tokens are asked for and how answers are compared: targets, losses, codebooks."""
