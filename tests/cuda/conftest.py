"""Fixtures of the GPU worker on a driver made of NumPy."""

from fake_driver import cubin, driver, fake_gpu, worker

__all__ = ["cubin", "driver", "fake_gpu", "worker"]
