"""Where weights come from: checkpoints, shards, LoRA adapters, LLaVA in its layouts."""
