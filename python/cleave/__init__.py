"""Cleave cuts a model along its grain: partition it, and run it over MPI ranks.

    package = cleave.partition("model.gguf", tp=2)
    for piece in cleave.run(package, prompt="Once upon a time"):
        print(piece, end="", flush=True)

    package = cleave.partition("model.onnx", tp=2)
    results = cleave.compute(package, {"x": np.ones((1, 8), np.float32)})
"""

from .compute import compute
from .errors import CleaveError
from .package import Package, partition
from .runner import Run, run

__version__ = "0.1.0"
__all__ = ["CleaveError", "Package", "Run", "compute", "partition", "run"]
