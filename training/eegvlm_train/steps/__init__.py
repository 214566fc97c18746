"""The training steps: enhancement module, tower, language model; the loop they share; ablations."""
