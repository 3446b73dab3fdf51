"""CUDA as a language to transform: candidates and launch lists, NVRTC, the emulator, GPUs, rewrites, the judge."""

CUDA = "cuda"
