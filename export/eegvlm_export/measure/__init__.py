"""What an export is held to: parity with the checkpoint, agreement with scorers, gates, comparisons."""
