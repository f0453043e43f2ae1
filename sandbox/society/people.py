"""The people of a new society: the persona and the label of each agent, from the scenario's table and the network's nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.errors import ScenarioError, nearest
from sandbox.scenario.personas import Persona, Personas
from sandbox.scenario.population import Population, column_of, labels
from sandbox.scenario.scenario import Scenario
from sandbox.seeding import keyed_rng


def assign_people(
    scenario: Scenario,
    population: Population,
    nodes: Sequence[Mapping[str, Any]],
    shape: tuple[int, int],
    *,
    seed: int,
    birth_seed: int,
) -> tuple[list[Persona], list[str], list[str]]:
    """Draw the persona and the label of each agent.

    A persona is a row of the scenario's table and, in a network of a file, the attributes of the node on which the agent
    begins.
    Where the table names the same people as the nodes, each node gets the row of its name.

    Args:
        scenario: The scenario.
        population: Labels of the agents, as asked for.
        nodes: For each agent, the attributes of the node on which it begins; empty on grids.
        shape: Rows and columns of the grid.
        seed: Seed of labels.
        birth_seed: Seed of personas.

    Returns:
        Personas, labels and warnings.

    Raises:
        ScenarioError: labels are to come from a column that does not exist.
    """
    n, people, notes = len(nodes), scenario.personas, []
    rows: list[Persona] = [{}] * n
    if people is not None:
        of_name = {str(row.get(people.name)).strip(): row for row in people.rows}
        names = [str(node.get("name", "")) for node in nodes]
        if any(names) and all(name in of_name for name in names) and len(of_name) == len(people.rows):
            rows = [of_name[name] for name in names]
            notes.append(f"each node of the network has the persona of its name in {people.source}")
        else:
            rows = people.deal(n, keyed_rng(birth_seed, "personas"))
            if n > len(people.rows):
                notes.append(f"{n} agents share the {len(people.rows)} personas of {people.source}")
            if any(names) and people.name in people.columns:
                notes.append(
                    f"agents have the names of {people.source}, and not those of the network's nodes, which are others"
                )
        both = sorted({column for node in nodes for column in node} & {*people.columns} - {"name"})
        if both:
            notes.append(f"{people.source} and the network's nodes both have {', '.join(both)}; the former counts")
    rows = [{**node, **row} for node, row in zip(nodes, rows, strict=True)]
    if isinstance(population, str) and population.startswith("column:"):
        column = column_in(population, people, nodes)
        return rows, [label_in(row, column) for row in rows], notes
    return rows, labels(population, n, shape, keyed_rng(seed, "labels")), notes


def column_in(population: str, people: Personas | None, nodes: Sequence[Mapping[str, Any]]) -> str:
    """The column NAME of the personas, or attribute NAME of the network's nodes, for the population ``column:NAME``.

    Raises:
        ScenarioError: neither has it.
    """
    attributes = sorted({name for node in nodes for name in node})
    column = population.removeprefix("column:")
    if column in attributes:
        return column
    if people is None and attributes:
        raise ScenarioError(
            f"{population!r} is not an attribute of the network's nodes; they have {', '.join(attributes)}."
            f"{nearest(column, attributes)}"
        )
    return column_of(population, people)


def label_in(row: Mapping[str, Any], column: str) -> str:
    """The label of an agent with a persona; ``unknown`` where it has none."""
    value = row.get(column)
    return str(value) if value not in (None, "") else "unknown"


def check_node_fields(scenario: Scenario, space: Any) -> None:
    """Refuse prompts that use an attribute of nodes, ``{node[age]}``, which some node of the network does not have.

    Raises:
        ScenarioError: names it.
    """
    asked = [(template, key) for template, kind, key in scenario.prompts.state_keys() if kind == "node"]
    nodes = [space.attributes(place) for place in space.places()] if asked else []
    known = sorted({name for node in nodes for name in node})
    faults = [
        f"  prompts.{template}: uses {{node[{key}]}}, which {sum(key not in node for node in nodes)} of {len(nodes)} nodes do "
        f"not have; there are: {', '.join(known) or 'no attributes'}.{nearest(key, known)}"
        for template, key in asked
        if any(key not in node for node in nodes)
    ]
    if faults:
        raise ScenarioError(f"scenario {scenario.name!r} cannot be used:\n" + "\n".join(faults))
