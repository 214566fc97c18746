"""How well a checkpoint or a bundle stages, and how far its reasons hold."""
