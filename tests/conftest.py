"""One thread per test process: pytest-xdist runs several, and small tensors are faster so."""

import torch

torch.set_num_threads(1)
