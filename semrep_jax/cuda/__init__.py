"""Running CUDA programs: candidates and their launch lists, NVRTC, execution on a CPU."""
