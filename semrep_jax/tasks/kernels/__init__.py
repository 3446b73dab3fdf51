"""CUDA kernels to be made faster."""
