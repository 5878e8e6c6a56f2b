"""Data sets of images with label maps: `open_dataset("camvid:PATH", split="val")`."""

from workloads.datasets.dataset import Dataset, Sample, SampleError
from workloads.datasets.open import open_dataset

__all__ = ["Dataset", "Sample", "SampleError", "open_dataset"]
