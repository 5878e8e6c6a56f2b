"""The int8 DeepLab on VOC: label maps and scores of the TFLite reference kernels, to the pixel."""

from __future__ import annotations

import numpy as np
import pytest

import bittrue
from benchmarks.evaluation import DATASET, MODEL
from workloads.fitting import labels_on_image, place

IMAGES = 4


@pytest.mark.assets
@pytest.mark.oracle
def test_deeplab_scores_what_the_reference_kernels_score(assets):
    litert = pytest.importorskip("benchmarks.litert")
    folder = assets.parent
    dataset = bittrue.open_dataset(f"voc:{folder / DATASET}")
    record = bittrue.evaluate(
        bittrue.load_network(folder / MODEL), bittrue.load_accelerator("edge_32x32"), dataset, limit=IMAGES
    )
    interpreter = litert.reference_interpreter((folder / MODEL).read_bytes())
    counts = np.zeros((21, 21), np.int64)
    for index in range(IMAGES):
        sample = dataset.sample(index)
        labels = litert.invoke(interpreter, _resized(sample.image)).reshape(513, 513)
        found = labels_on_image(labels, place(sample.image.shape[:2], (513, 513), "stretch"))
        counted = sample.labels != 255
        np.add.at(counts, (sample.labels[counted], found[counted]), 1)
    hits, union = np.diag(counts), counts.sum(0) + counts.sum(1) - np.diag(counts)
    iou = [float(h) / float(u) if u else None for h, u in zip(hits, union, strict=True)]
    assert list(record.device_row.class_iou) == iou
    assert (record.device_row.correct, record.device_row.pixels) == (hits.sum(), counts.sum())
    assert record.device_row.miou > 0.3, "it does see what is in the images"


def _resized(image):
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((513, 513), Image.Resampling.BILINEAR))[None]
