"""Which field of a request a server refused, from the words of its error.

Knows no connections and no requests.
"""

from __future__ import annotations

import re
from collections.abc import Collection

# Fields without which a request still asks for a reply.
DROPPABLE = ("seed", "temperature", "top_p", "stop")
_REFUSED = re.compile(
    r"support|unrecogni[sz]ed|unknown|permitted|allowed|deprecated|cannot|can't|can not|extra|unexpected|not available|"
    r"\bonly\b|must be (set to )?1(\.0)?(?![\d.])|\b(both|either)\b|mutually exclusive|not (be )?(used|specified|set)",
    re.IGNORECASE,
)
# A value out of range is an error of whoever gave it, and is reported.
_RANGE = re.compile(
    r"between|range|(less|greater|more|larger|smaller) than|at (most|least)|maximum|minimum|[<>]=?\s*\d|non-negative|"
    r"or (less|more)|up to|positive|must be a |valid (number|integer|string)|type",
    re.IGNORECASE,
)
# Clear whatever else is said.
_UNKNOWN = re.compile(r"support|unrecogni[sz]ed|unknown|deprecated|extra", re.IGNORECASE)
_PAIR = re.compile(r"\b(both|either|one of|together|mutually exclusive)\b|only one", re.IGNORECASE)


def refused_field(said: str, refused: Collection[str]) -> str | None:
    """Find the field to leave out.

    Of ``temperature`` and ``top_p``, which some servers take only one at a time, ``top_p`` is left out first. Of several
    fields the first one named is left out; the next error names the next one.

    Args:
        said: The error message of the server.
        refused: Fields that are left out already.

    Returns:
        The name of the field; None if the message names none, or says that a value is out of range.
    """
    if "max_completion_tokens" in said and "instead" in said:
        return None if "max_tokens" in refused else "max_tokens"
    places = {field: at.start() for field in DROPPABLE if (at := re.search(rf"\b{field}\b", said)) is not None}
    left = [field for field in sorted(places, key=places.__getitem__) if field not in refused]
    if not left:
        return None
    if "top_p" in left and "temperature" in places and _PAIR.search(said):
        return "top_p"
    # Leaving out a seed loses only repeatability.
    if left[0] == "seed":
        return "seed"
    return left[0] if _REFUSED.search(said) and not _out_of_range(said) else None


def _out_of_range(said: str) -> bool:
    return _RANGE.search(said) is not None and _UNKNOWN.search(said) is None
