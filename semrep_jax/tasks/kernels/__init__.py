"""CUDA kernels to be made faster: `catalogue` finds any by its name; built in, fused chains, KernelBench's."""
