"""A picture of who speaks how long."""

from matplotlib.figure import Figure


def draw(run, *, unit: str = "words") -> Figure:
    """How long each agent has spoken, in words or letters."""
    frame = run.frame()
    figure = Figure(figsize=(3.4, 2.4), layout="constrained")
    axes = figure.add_subplot()
    said = frame["draft"].fillna("")
    lengths = said.str.split().str.len() if unit == "words" else said.str.len()
    totals = lengths.groupby(frame["agent"]).sum()
    axes.bar(totals.index, totals)
    axes.set(xlabel="agent", ylabel=f"{unit} spoken")
    return figure
