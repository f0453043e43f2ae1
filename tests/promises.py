"""What tests of the conformance kit share."""

from __future__ import annotations

import pytest

from sandbox.testing import BrokenPromise


def broken(words):
    """Expect to be told that a promise is broken, in these words."""
    return pytest.raises(BrokenPromise, match=words)
