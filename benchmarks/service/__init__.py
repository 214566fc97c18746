"""What the bedside service costs, and what it survives."""
