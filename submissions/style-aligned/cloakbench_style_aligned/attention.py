"""Attention that images of a batch share with a reference (Hertz et al. 2024, arXiv 2312.02133, section 3.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-5


class SharedSelfAttention:
    """An attention processor of diffusers: every image attends to the reference beside itself.

    A batch holds one or more groups of equal size, the first image of each being its reference, as classifier-free
    guidance has two. Queries and keys get mean and deviation of the reference's (AdaIN), then

        attention(AdaIN(Q, Q_r), [K_r, AdaIN(K, K_r)], [V_r, V]),

    with `shift` added to the scores of the reference's keys. For the reference itself this is plain self-attention.

    Args:
        groups: Number of groups in a batch.
        shift: Added to the scores of the reference's keys.
    """

    def __init__(self, groups: int, shift: float) -> None:
        self.groups = groups
        self.shift = shift

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        """Returns the attention's output `[B, L, C]`; the argument names are those of diffusers."""
        queries, keys = (adain(layer(hidden_states), self.groups) for layer in (attn.to_q, attn.to_k))
        values = attn.to_v(hidden_states)
        keys = torch.cat([of_reference(keys, self.groups), keys], dim=1)
        values = torch.cat([of_reference(values, self.groups), values], dim=1)
        length = hidden_states.shape[1]
        shift = hidden_states.new_zeros(2 * length)
        shift[:length] = self.shift
        query, key, value = (_in_heads(x, attn.heads) for x in (queries, keys, values))
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=shift.expand(length, -1))
        joined = mixed.transpose(1, 2).reshape(hidden_states.shape[0], length, -1)
        output: Tensor = attn.to_out[1](attn.to_out[0](joined))
        return output


def of_reference(features: Tensor, groups: int) -> Tensor:
    """Returns each group's reference in the place of every image of the group, `[B, L, C]`."""
    grouped = features.reshape(groups, -1, *features.shape[1:])
    return grouped[:, :1].expand_as(grouped).flatten(0, 1)


def adain(features: Tensor, groups: int) -> Tensor:
    """Returns features `[B, L, C]` whose mean and deviation over L are those of their group's reference."""
    reference = of_reference(features, groups)
    mean, deviation = features.mean(1, keepdim=True), features.std(1, keepdim=True)
    normal = (features - mean) / (deviation + EPSILON)
    return normal * reference.std(1, keepdim=True) + reference.mean(1, keepdim=True)


def _in_heads(features: Tensor, heads: int) -> Tensor:
    """Returns `[B, heads, L, C / heads]`."""
    return features.reshape(*features.shape[:2], heads, -1).transpose(1, 2)
