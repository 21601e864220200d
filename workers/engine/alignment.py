"""Where weights lie in a CPU's memory."""

from torch import nn

_ALIGNMENT = 64  # bytes


def align(model: nn.Module) -> None:
    """Give CPU weights 64-byte aligned memory of their own.

    Kernels may sum in another order over memory aligned otherwise, and where a file's mapping puts a tensor is chance;
    byte-reproducible training, scores and vectors rest on this.
    """
    for parameter in model.parameters():
        if parameter.device.type == "cpu" and parameter.data_ptr() % _ALIGNMENT:
            parameter.data = parameter.data.clone()
