"""Where the time goes before the first pixel, as JSON; for `speed.py`, in a process of its own.

    python benchmarks/start_up.py photo 2    # model, threads

Nothing but the standard library is imported before the clock runs.
"""

import json
import sys
import time

started = time.perf_counter()

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402, F401

import invdn  # noqa: E402

imported = time.perf_counter()
denoiser = invdn.load(sys.argv[1], device="cpu", threads=int(sys.argv[2]))
loaded = time.perf_counter()
denoiser(np.zeros((512, 512, 3), np.uint8))
done = time.perf_counter()
print(
    json.dumps(
        {"import": imported - started, "session": loaded - imported, "first_tile": done - loaded}
    )
)
