"""Training of EEG-VLM: model, data, recipes, evaluation. Needs torch and transformers (the `train` extra)."""
