"""The ONNX graphs of a bundle: tower and language model, traced and filled with weights."""
