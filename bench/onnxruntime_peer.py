"""Times a model in onnxruntime, and prints JSON as `cleave-run --bench` does.

    python onnxruntime_peer.py MODEL THREADS RUNS REPEAT [NAME=FILE.npy...]

Inputs and outputs are bound once, so that what is timed is the library's own work.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import onnxruntime


def main() -> None:
    file, threads, runs, repeat = sys.argv[1], *map(int, sys.argv[2:5])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for text in sys.argv[5:]:
        name, _, path = text.partition("=")
        binding.bind_cpu_input(name, np.load(path))
    for output in session.get_outputs():
        binding.bind_output(output.name)
    for _ in range(3):
        session.run_with_iobinding(binding)
    for repetition in range(repeat):
        begin = time.perf_counter()
        for _ in range(runs):
            session.run_with_iobinding(binding)
        print(json.dumps({"test": "run", "runs": runs, "repetition": repetition,
                          "seconds": time.perf_counter() - begin,
                          "version": onnxruntime.__version__}))


if __name__ == "__main__":
    main()
