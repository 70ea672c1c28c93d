"""Depthwise convolutions whose gradients are taken in float32 where the CPU's bfloat16 is slow at them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def quicken_depthwise(backbone: nn.Module) -> None:
    """Let a backbone's wide or strided depthwise convolutions take their gradients in float32 on a CPU in bfloat16.

    oneDNN's bfloat16 takes 2 to 16 times as long as its float32 there; at 3 × 3 without a stride it is the faster one.
    Weights, names and what comes out stay the same.
    """
    for module in backbone.modules():
        if type(module) is nn.Conv2d and _is_slow(module):
            module.__class__ = _DepthwiseConv2d


def _is_slow(conv: nn.Conv2d) -> bool:
    depthwise = 1 < conv.groups == conv.in_channels == conv.out_channels
    padded_by_numbers = conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    return depthwise and padded_by_numbers and (max(conv.kernel_size) > 3 or max(conv.stride) > 1)


class _DepthwiseConv2d(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        if not (input.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()):
            return super().forward(input)
        kind = torch.get_autocast_dtype("cpu")
        result: Tensor = _Float32Gradients.apply(
            input.to(kind), self.weight.to(kind), None if self.bias is None else self.bias.to(kind), self
        )
        return result


class _Float32Gradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.conv = conv
        return functional.conv2d(input, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        conv: nn.Conv2d = ctx.conv
        wanted = list(ctx.needs_input_grad[:3])
        grads = torch.ops.aten.convolution_backward(
            grad.float(),
            input.float(),
            weight.float(),
            [conv.out_channels],
            conv.stride,
            conv.padding,
            conv.dilation,
            False,
            [0, 0],
            conv.groups,
            wanted,
        )
        kinds = (input.dtype, weight.dtype, weight.dtype)
        return *(g.to(kind) if want else None for g, kind, want in zip(grads, kinds, wanted, strict=True)), None
