"""Cleave cuts a model along its grain: partition it, and run it over MPI ranks.

    package = cleave.partition("model.gguf", tp=2)
    for piece in cleave.run(package, prompt="Once upon a time"):
        print(piece, end="", flush=True)
"""

from .errors import CleaveError
from .package import Package, partition
from .runner import Run, run

__version__ = "0.1.0"
__all__ = ["CleaveError", "Package", "Run", "partition", "run"]
