"""A school class: a teacher who is no member asks, groups of three talk it over, and each pupil answers in a given form.

sandbox show-prompts ./examples/13_groups.py
sandbox run ./examples/13_groups.py --size 3 --rounds 2 --out runs/class
sandbox plot runs/class grid --set by=state.sure
"""

from sandbox import Scenario, dialogue, keyed_rng

FIELDS = {"answer": {"enum": ["yes", "no"]}, "reason": {"type": "string"}}
FORM = {"type": "object", "properties": FIELDS, "required": ["answer", "reason"]}


def groups(world):
    """Three and three, drawn anew each round; who is left over stays at home."""
    pupils = keyed_rng(world.seed, world.round, "groups").sample(world.members, len(world.members))
    return [pupils[i : i + 3] for i in range(0, len(pupils) - 2, 3)]


def lesson(pupils, question, world):
    """The teacher asks, the group talks until one agrees, and each pupil says what it thinks and how sure it is."""
    asked = yield world.speaker("Teacher").answer(question)
    said = yield dialogue(pupils, asked.text, turns=6, stop=lambda said: "i agree" in said[-1][1].lower())
    heard = [(pupil.name, text) for pupil, text in said]
    forms = yield [pupil.structured(asked.text, FORM, heard=heard) for pupil in pupils]
    sure = yield [pupil.number("How sure are you, in percent?", 0, 100, heard=heard) for pupil in pupils]
    return [
        world.interaction(
            pupil,
            asked.text,
            draft=str(form.value["reason"]) if form.value else None,
            extra={"answer": form.value and form.value["answer"], "sure": number.value, "turns": len(said)},
        )
        for pupil, form, number in zip(pupils, forms, sure, strict=True)
    ]


lesson.max_calls = lambda pupils, world: 1 + 6 + 2 * 3 * len(pupils)


def settle(world, interactions):
    """How sure each pupil is becomes its state."""
    for it in interactions:
        if it.error is None and it.extra["sure"] is not None:
            world.members[it.agent].state["sure"] = it.extra["sure"]


scenario = Scenario(
    questions=["Ask the class whether homework should be forbidden.", "Ask the class whether lying can be right."],
    population={"pupil": 1.0},
    roles={"pupil": "You are ten years old."},
    speakers={"Teacher": "You are the teacher of a class. You ask one short question."},
    groups=groups,
    protocol=lesson,
    state={"sure": 50},
    settle=settle,
)
