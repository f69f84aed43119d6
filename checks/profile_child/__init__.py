"""What runs in the profiler's process: these modules' sources are sent to a Python that may lack infdiag.

That Python may be old (3.8) and beside the model, in its container. So nothing here imports anything but the standard
library, its siblings at the top of the file, and torch, NumPy or onnxruntime late.
"""
