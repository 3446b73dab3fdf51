"""What has to be transformed: generated and mined functions, HumanEval with seeded bugs, CUDA kernels; and suites."""
