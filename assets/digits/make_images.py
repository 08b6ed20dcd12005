"""Make digits.safetensors from the copy of the data set inside scikit-learn.

    pip install scikit-learn==1.7.2 safetensors numpy
    python assets/digits/make_images.py

scikit-learn is needed here only; the app reads the small file this script writes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.datasets import load_digits

HERE = Path(__file__).parent


def main() -> None:
    """Write images (1797, 64) and labels (1797,) as bytes."""
    data = load_digits()
    tensors = {
        "images": np.ascontiguousarray(data.data.astype(np.uint8)),  # 0 to 16
        "labels": np.ascontiguousarray(data.target.astype(np.uint8)),
    }
    save_file(
        tensors,
        HERE / "digits.safetensors",
        metadata={
            "source": "UCI Optical Recognition of Handwritten Digits, test set, "
            "as in scikit-learn 1.7.2",
            "licence": "CC-BY-4.0",
        },
    )


if __name__ == "__main__":
    main()
