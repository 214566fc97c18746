"""From samples as they come to conditioned epochs: units, quality, conditioning, and the cut into 30 s."""
