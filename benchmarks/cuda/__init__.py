"""A bundle on an NVIDIA GPU beside the CPU: equal answers, latency, whole nights, and how busy the GPU is."""
