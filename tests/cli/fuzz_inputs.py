"""Inputs for the fuzz of all commands: values of any type, files of any kind, damaged ones."""

from __future__ import annotations

import csv
import io
import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

TEXTS = [
    "",
    " ",
    "I found a purse.",
    "é日本",
    "\ufeffx",
    "a\u0000b",
    "\ud83d",
    "x" * 3000,
    "nan",
    "3",
    "\n\n",
    "<think>no</think>yes",
]


def shown(path: str | Path) -> str:
    """The beginning of a file, for a message."""
    return Path(path).read_bytes()[:300].decode("utf-8", "replace")


def any_value(draw: random.Random, depth: int = 0) -> Any:
    """A value of any JSON type."""
    plain = [None, True, 0, -1, 3, 7.5, float("nan"), float("inf"), 10**25, *draw.sample(TEXTS, 4)]
    if depth > 2 or draw.random() < 0.5:
        return draw.choice(plain)
    if draw.random() < 0.5:
        return [any_value(draw, depth + 1) for _ in range(draw.randrange(4))]
    roles = ["user", "assistant", "system", "tool", None, 3]
    if draw.random() < 0.6:
        return [{"role": draw.choice(roles), "content": draw.choice(TEXTS)} for _ in range(draw.randrange(4))]
    return {draw.choice(["role", "content", "from", "value", "text", ""]): any_value(draw, depth + 1) for _ in range(3)}


def any_rows(draw: random.Random, names: str) -> list[Any]:
    """Rows with some of these columns, often of a plausible type."""
    columns = draw.sample(names.split(), draw.randint(1, min(4, len(names.split()))))
    rows: list[Any] = [
        {c: draw.choice(TEXTS) if draw.random() < 0.4 else any_value(draw) for c in columns if draw.random() < 0.9}
        for _ in range(draw.randint(0, 4))
    ]
    return [*rows, any_value(draw)] if draw.random() < 0.2 else rows


def any_file(draw: random.Random, stem: str, names: str, kinds: str = "jsonl json csv tsv txt") -> str:
    """Write rows into a file in one of the formats, sometimes damaged; return its path."""
    kind = draw.choice(kinds.split())
    path, rows = Path(f"{stem}.{kind}"), any_rows(draw, names)
    if kind in ("jsonl", "json"):
        text = "\n".join(map(json.dumps, rows)) if kind == "jsonl" else json.dumps(rows)
    elif kind == "txt":
        text = "\n".join(draw.choices(TEXTS, k=4))
    else:
        table = io.StringIO()
        writer = csv.writer(table, delimiter=draw.choice(",;\t"))
        writer.writerows([[*names.split()[:3]], *[draw.choices(TEXTS, k=draw.randint(1, 4)) for _ in rows]])
        text = table.getvalue()
    data = text.encode("utf-8", "surrogatepass")
    if draw.random() < 0.3:
        data = damaged(draw, data)
    path.write_bytes(data)
    return str(path)


def damaged(draw: random.Random, data: bytes) -> bytes:
    """Bytes that are cut, changed or replaced."""
    place = draw.randrange(len(data) + 1)
    ways: list[Callable[[], bytes]] = [
        lambda: data[:place], lambda: data[:place] + draw.randbytes(5) + data[place + 5 :], lambda: b"", lambda: b"[" * 50_000,
        lambda: b"\xff\xfe" + data, lambda: data.decode("utf-8", "ignore").encode("utf-16"), lambda: b"PAR1" + data[:20],
        lambda: b"version https://git-lfs.github.com/spec/v1\n",
    ]  # fmt: skip
    return draw.choice(ways)()


def changed(draw: random.Random, content: Any) -> Any:
    """JSON with one value somewhere replaced or removed."""
    if isinstance(content, dict) and content and draw.random() < 0.9:
        key = draw.choice(list(content))
        if draw.random() < 0.15:
            return {k: v for k, v in content.items() if k != key}
        return {**content, key: changed(draw, content[key])}
    if isinstance(content, list) and content and draw.random() < 0.9:
        place = draw.randrange(len(content))
        return [*content[:place], changed(draw, content[place]), *content[place + 1 :]]
    return any_value(draw)


def change_file(draw: random.Random, path: Path) -> None:
    """Damage a file, or one value in it."""
    if path.suffix == ".sqlite" and draw.random() < 0.8:
        with sqlite3.connect(path) as db:
            [table] = draw.choice(db.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall())
            column = draw.choice(db.execute(f"PRAGMA table_info({table})").fetchall())[1]
            value = draw.choice([None, "x", "", "{", "[]", '{"a": 1}', "null", b"\xff", -1, 3, 10**15, 0.5])
            some = f"SELECT {column} FROM {table} LIMIT 2"
            with suppress(sqlite3.IntegrityError):  # the schema refuses it
                db.execute(f"UPDATE OR IGNORE {table} SET {column}=? WHERE {column} IN ({some})", (value,))
        db.close()
    elif path.suffix == ".json" and draw.random() < 0.8:
        path.write_text(json.dumps(changed(draw, json.loads(path.read_text("utf-8")))), encoding="utf-8")
    else:
        path.write_bytes(damaged(draw, path.read_bytes()))


def difference(before: bytes, after: bytes) -> str:
    """Where two files begin to differ."""
    place = next((n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    return after[max(0, place - 60) : place + 60].decode("utf-8", "replace")
