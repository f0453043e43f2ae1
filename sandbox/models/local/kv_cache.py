"""A cache of keys and values that grows in place; that of transformers is copied for every new token."""

from __future__ import annotations

from typing import Any

from transformers.cache_utils import DynamicCache, DynamicLayer

_ROOM = 64  # columns reserved at a time


class GrowingLayer(DynamicLayer):
    """A layer whose keys and values are views of a buffer with spare columns."""

    keys: Any
    values: Any
    _key_room: Any = None
    _value_room: Any = None

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Add columns. Shapes [rows, heads, columns, head size]."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys, self._key_room = _extended(self.keys, self._key_room, key_states)
        self.values, self._value_room = _extended(self.values, self._value_room, value_states)
        return self.keys, self.values

    def batch_select_indices(self, indices: Any) -> None:
        """Keep some rows, or repeat them."""
        super().batch_select_indices(indices)
        self._key_room = self._value_room = None  # the buffers have other rows


def _extended(known: Any, room: Any, new: Any) -> tuple[Any, Any]:
    """Append columns; return the view, and the buffer that it is a view of."""
    length = 0 if known.numel() == 0 else known.shape[-2]
    end = length + new.shape[-2]
    if room is None or room.shape[-2] < end:
        room = new.new_empty((*new.shape[:-2], end + _ROOM, new.shape[-1]))
        if length:
            room[..., :length, :] = known
    room[..., length:end, :] = new
    return room[..., :end, :], room


def can_be_merged(cache: Any) -> bool:
    """Whether all layers of a cache contain every column."""
    return all(type(layer) is GrowingLayer for layer in cache.layers)


def part_of(cache: Any, rows: Any, config: Any) -> Any:
    """Copy some rows of a cache. Shape of ``rows``: [kept]."""
    part = growing_cache(config)
    for number, layer in enumerate(cache.layers):
        if layer.is_initialized:
            part.update(layer.keys[rows], layer.values[rows], number)
    return part


def merged(parts: list[Any], order: Any, config: Any) -> Any:
    """Merge caches: the columns of each part are aligned on the right, and zeros fill the left.

    Args:
        parts: Caches of the same layers.
        order: Order of the rows of all parts in the result. Shape [rows].
        config: Configuration of the model.
    """
    width = max(part.get_seq_length() for part in parts)
    whole = growing_cache(config)
    for number in range(len(parts[0].layers)):
        sides = []
        for name in ("keys", "values"):
            known = [getattr(part.layers[number], name) for part in parts]
            rows = sum(len(one) for one in known)
            side = known[0].new_zeros((rows, known[0].shape[1], width, known[0].shape[3]))
            row = 0
            for one in known:
                side[row : row + len(one), :, width - one.shape[2] :] = one
                row += len(one)
            sides.append(side[order])
        whole.update(*sides, number)
    return whole


def growing_cache(config: Any) -> Any:
    """Make an empty cache for a model; layers that are not plain (for example sliding windows) are those of transformers."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    if cache.layer_class_to_replicate is DynamicLayer:
        cache.layer_class_to_replicate = GrowingLayer
    return cache
