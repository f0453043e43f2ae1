"""An embedder that counts letters."""

import numpy as np


class Letters:
    """One number for each of 64 classes of letters."""

    def __init__(self, rest: str = "") -> None:
        del rest
        self.name, self.dim = "letters", 64

    def embed(self, texts):
        """Embed texts, in order. Shape [texts, 64]."""
        counts = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            np.add.at(counts[row], [0, *(ord(letter) % self.dim for letter in text)], 1)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)
