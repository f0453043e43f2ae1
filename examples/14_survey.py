"""A survey of a village, before and after it has talked, compared with what (made-up) people of its two sides answered.

sandbox survey RUN QUESTIONS.csv --at 0,last
sandbox validate RUN HUMAN.csv --by side
"""

from pathlib import Path

import pandas as pd

from sandbox import Personas, Reply, Scenario, ScriptedModel, World, open_run, validate_survey

PEOPLE = [{"name": f"P{i}", "side": ("newcomer", "old family")[i % 2]} for i in range(16)]
QUESTIONS = [
    {"id": "build", "question": "What should the village build?", "options": "car park|playground"},
    {"id": "hours", "question": "How many hours would you give?", "low": 0, "high": 10},
]


def speak(request):
    """Newcomers want the playground; whoever recalls an answer, as all do after a round, gives an hour more."""
    is_new = "newcomer" in request.messages[0].content
    if "playground" in request.choices:
        return Reply("", dict(zip(request.choices, (0.2, 0.8) if is_new else (0.7, 0.3), strict=True)))
    return str((5 if is_new else 3) + ("you answered" in request.messages[-1].content))


def opine(agent, question, world):
    reply = yield agent.answer(question)
    return world.interaction(agent, question, draft=reply.text)


scenario = Scenario(
    questions=["Shall we build a playground?"],
    personas=Personas(PEOPLE, "You are of the side: {side}."),
    protocol=opine,
)


def main(out="runs/village", **settings):
    model = ScriptedModel(replies=speak)
    World(scenario, model=model, size=4, out=out, recall_distance=2.0, **settings).run(rounds=1)
    answers, human = Path(out) / "survey" / "village.csv", Path(out) / "human.csv"
    frame = open_run(out).survey(QUESTIONS, at="0,last", model=model, scenario=scenario, out=answers)
    print(frame.groupby(["at", "side"])["number"].mean())

    rows = []
    for i in range(60):
        side, want = (("newcomer", "playground"), ("old family", "car park"))[i % 2]
        rows += [(i, "build", want if i % 5 else "playground", side), (i, "hours", i % 8, side)]
    pd.DataFrame(rows, columns=["respondent", "question_id", "answer", "side"]).to_csv(human, index=False)
    found = validate_survey(answers, human, by="side")
    for one in found["questions"]:
        score, most = (f"{of['score']['value']:.0f}" for of in (one, one["ceiling"]))
        print(one["at"], one["group"] or "all", one["question_id"], f"score {score}, halves of the people {most}")


if __name__ == "__main__":
    main()
