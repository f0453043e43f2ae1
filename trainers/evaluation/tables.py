"""An evaluation as tables: for the terminal, and as Markdown in ``evaluation.md``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from trainers.rows.format import left_out_note

Table: TypeAlias = tuple[str, list[str], list[list[str]]]
Result: TypeAlias = Mapping[str, Any]


def tables(result: Result) -> list[Table]:
    """Title, columns and rows of each table that an evaluation has."""
    found: list[Table] = []
    if result["models"]:
        found += [_scores(result), *_judges(result), *_pressures(result), *_biases(result)]
    found += _controls(result)
    for part, make in (("pairs", _pairs), ("choices", _choices), ("side_effects", _side_effects), ("tasks", _tasks)):
        if part in result:
            found.append(make(result[part]))
    return found


def markdown(result: Result) -> str:
    """All tables, with the command that repeats them."""
    parts = [f"```sh\n{result['command']}\n```"] if result.get("command") else []
    parts += ["\n".join(f"* **{words}**" for words in result["alarms"])] if result.get("alarms") else []
    for title, columns, rows in tables(result):
        lines = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        parts.append(f"{title}:\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _scores(result: Result) -> Table:
    dimensions = result["dimensions"]
    rows = [
        [m["name"], *(_plain(m["scores"][d]) for d in dimensions), f"{m['tokens_mean']:.0f}"] for m in result["models"]
    ]
    for d in result["differences"]:
        rows.append([f"{d['model']} - {d['against']}", *(_signed(d["scores"][n]) for n in dimensions), ""])
        if "at_equal_length" in d:
            rows.append(["  at equal length", *(_signed(d["at_equal_length"][n]) for n in dimensions), ""])
    many = len(result.get("seeds", [0]))
    each = f"{result['samples']} answers each" + (f" under each of {many} seeds" if many > 1 else "")
    title = (
        f"{result['questions']} held-out questions, {each}, rated 1-{result['scale']} by {result['judge']}; 95% intervals "
        "over questions, differences paired"
    )
    return title, ["model", *dimensions, "tokens"], rows


def _judges(result: Result) -> Iterator[Table]:
    judges, dimensions = result.get("judges", []), result["dimensions"]
    if len(judges) < 2:
        return
    first = dimensions[0]
    rows = [[m["name"], *(_plain(m["by_judge"][j][first]) for j in judges)] for m in result["models"]]
    rows += [
        [f"{d['model']} - {d['against']}", *(_signed(d["by_judge"][j][first]) for j in judges)]
        for d in result["differences"]
    ]
    alpha = ", ".join(f"{d} {_alpha(result['judging']['agreement'][d])}" for d in dimensions)
    yield f"{first} by judge; agreement, Krippendorff's alpha: {alpha}", ["model", *judges], rows


def _alpha(found: Result) -> str:
    return "-" if not _is_known(found["alpha"]) else f"{found['alpha']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def _pressures(result: Result) -> Iterator[Table]:
    lost = result.get("pressures", [])
    if not lost:
        return
    first = result["dimensions"][0]
    kinds = list(lost[0]["kinds"])
    rows = [[kind.replace("_", " "), *(_signed(one["kinds"][kind][first]) for one in lost)] for kind in kinds]
    rows.append(["all", *(_signed(one["all"][first]) for one in lost)])
    rows.append(
        [f"more than {lost[0]['model']}", *(_signed(one["more"][first]) if one["more"] else "" for one in lost)]
    )
    yield (
        f"{first} lost under pressure: plain less pressed, paired by question",
        ["pressure", *(m["model"] for m in lost)],
        rows,
    )


def _biases(result: Result) -> Iterator[Table]:
    judging = result.get("judging")
    if not judging:
        return
    first = result["dimensions"][0]
    rows = []
    for judge, by_dimension in judging["length"].items():
        found = by_dimension[first]
        slope = {"mean": found["slope"], "low": found["low"], "high": found["high"]}
        places = judging["position"].get(judge, {})
        place = "; ".join(
            f"{_plain(of['first'])} ({of['consistent']:.0%} consistent)" for of in places.values() if of["first"]["n"]
        )
        rows.append([judge, _signed(slope), _number(found["correlation"]), place or "rates each by itself"])
    title = (
        f"bias of judges in {first}: points for twice the words, within questions; wins of the answer that stands first"
    )
    yield title, ["judge", "length: slope", "correlation", "place: first wins"], rows


def _controls(result: Result) -> Iterator[Table]:
    cards = result.get("judging", {}).get("controls", {})
    if not cards:
        return
    judges = list(cards)
    names = list(dict.fromkeys(who for card in cards.values() for who in card["speakers"]))
    rows = []
    for who in names:
        cells = []
        for judge in judges:
            found = cards[judge]["speakers"].get(who)
            if found is None or not _is_known(found["mean"]):
                cells.append("-")
                continue
            cells.append(f"{found['mean']:.2f}" + (f" ({found['auc']:.2f})" if _is_known(found["auc"]) else ""))
        rows.append([who, *cells])
    slopes = [{**card["length"], "mean": card["length"]["slope"]} for card in cards.values()]
    rows.append(["length: points for twice the words", *(_signed(slope) for slope in slopes)])
    rows.append(["good rated above bad, share of pairs", *(_plain(card["pairs"]) for card in cards.values())])
    first = cards[judges[0]]
    yield (
        f"report card of judges on {first['dimension']}, speakers made from {first['source']}: mean rating (AUC of people's "
        "good answers against the speaker)",
        ["speaker", *judges],
        rows,
    )


def _pairs(measured: Result) -> Table:
    differences = {d["model"]: d["accuracy"] for d in measured["differences"]}
    has_implicit = measured.get("reference") is not None
    rows = [
        [m["name"], _plain(m["accuracy"], 3), _signed(differences[m["name"]], 3) if m["name"] in differences else "",
         f"{m['margin']:+.3f}", *([_plain(m["implicit"], 3) if "implicit" in m else ""] if has_implicit else [])]
        for m in measured["models"]
    ]  # fmt: skip
    title = f"{measured['pairs']} pairs: share whose better answer is the likelier per token, with 95% interval"
    if measured.get("equal"):
        title += f"; {measured['equal']} of them, of two equal answers, count as half right"
    if note := left_out_note(measured.get("left_out", {})):
        title += f"; {note}"
    cut = max((m.get("cut", 0) for m in measured["models"]), default=0)
    if cut:
        share = f"{cut} of them ({cut / measured['pairs']:.1%})"
        title += f"; {share} are longer than max_length={measured['max_length']} tokens and were cut"
    columns = ["model", "accuracy", "less the first's, paired", "margin (nats/token)"]
    return title, columns + ["by implicit reward"] * has_implicit, rows


def _choices(measured: Result) -> Table:
    differences = {d["model"]: d["accuracy"] for d in measured["differences"]}
    rows = [
        [m["name"], _plain(m["accuracy"], 3), _signed(differences[m["name"]], 3) if m["name"] in differences else ""]
        for m in measured["models"]
    ]
    title = (
        f"{measured['items']} questions with choices: share whose right one is the likeliest per token; a guess gets "
        f"{measured['chance']:.3f}"
    )
    cut = max((m.get("cut", 0) for m in measured["models"]), default=0)
    if cut:
        title += f"; {cut} of them ({cut / measured['items']:.1%}) are longer than a model reads and were cut"
    return title, ["model", "accuracy", "less the first's, paired"], rows


def _side_effects(measured: Result) -> Table:
    rows = [
        [m["name"], *(_percent(m[name]) for name in ("refused", "empty", "echoed")), _plain(m["words"], 0),
         _number(m["distinct_2"]), _plain(m["perplexity"], 1) if m["perplexity"] else "-"]
        for m in measured["models"]
    ]  # fmt: skip
    title = f"side effects: {measured['questions']} harmless questions, {measured['texts']} neutral texts"
    return title, ["model", "refused", "empty", "echoed", "words", "distinct-2", "perplexity"], rows


def _tasks(measured: Result) -> Table:
    rows = []
    by_model = [{(r["task"], r["metric"], r["filter"]): r for r in m["results"]} for m in measured["models"]]
    for key in by_model[0]:
        rows.append([f"{key[0]} {key[1]}", *(_plain(of[key], 3) if key in of else "-" for of in by_model)])
    return f"lm-evaluation-harness {measured['harness']}", ["task", *(m["name"] for m in measured["models"])], rows


def _is_known(value: float | None) -> bool:
    return value is not None and value == value


def _number(value: float | None) -> str:
    return f"{value:.2f}" if value is not None and value == value else "-"


def _plain(score: Result, digits: int = 2) -> str:
    if not _is_known(score["mean"]):
        return "-"
    interval = f" [{score['low']:.{digits}f}, {score['high']:.{digits}f}]" if _is_known(score["low"]) else ""
    return f"{score['mean']:.{digits}f}{interval}"


def _signed(score: Result, digits: int = 2) -> str:
    if not _is_known(score["mean"]):
        return "-"
    interval = f" [{score['low']:+.{digits}f}, {score['high']:+.{digits}f}]" if _is_known(score["low"]) else ""
    p = score.get("p")
    chance = f" p={p:.2g}" if p is not None and _is_known(p) else ""
    return f"{score['mean']:+.{digits}f}{interval}{chance}"


def _percent(score: Result) -> str:
    interval = f" [{max(0.0, score['low']):.0%}, {min(1.0, score['high']):.0%}]" if _is_known(score["low"]) else ""
    return f"{score['mean']:.0%}{interval}"
