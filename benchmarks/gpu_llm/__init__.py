"""The 4-bit language model of the paper's sizes on a GPU: ONNX Runtime beside PyTorch."""
