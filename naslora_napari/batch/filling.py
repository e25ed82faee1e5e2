"""How many images a device encodes at once."""

from __future__ import annotations

import torch
from segment_anything.modeling import Sam

#: More at once are no faster.
MOST = 16
#: So much of a GPU's free memory is used for what an encoder makes on its way.
FREE_SHARE = 0.5
#: Apple's GPUs do not tell what is free: so many images of up to so many pixels on a side, larger ones alone.
ON_MPS, MPS_SIDE = 4, 512


@torch.no_grad()
def batch_for(sam: Sam) -> int:
    """Return how many images the encoder of a model sees at once on its device.

    On a CPU one: its cores are busy with one. On a GPU as many as fit, by what one takes.
    """
    device, side = sam.device, sam.image_encoder.img_size
    if device.type == "mps":
        return ON_MPS if side <= MPS_SIDE else 1
    if device.type != "cuda":
        return 1
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    sam.image_encoder(torch.zeros(1, 3, side, side, device=device))
    taken = torch.cuda.max_memory_allocated(device) - before
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(MOST, int(FREE_SHARE * free) // max(1, taken)))
