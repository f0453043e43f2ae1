"""What a town hall talks about; its questions travel with the package."""

from pathlib import Path

from sandbox import Dimension, Rubric, Scenario, read_questions

QUESTIONS = Path(__file__).with_name("questions.txt")


def scenario(first: int = 4) -> Scenario:
    """Questions of a small town, rated for their use to the town alone."""
    return Scenario(
        name="townhall",
        questions=read_questions(QUESTIONS)[:first],
        heldout=["Should dogs be kept on a lead?"],
        population={"resident": 0.75, "visitor": 0.25},
        rubric=Rubric((Dimension("use", "how useful the answer is to the town"),), scale=5),
        protocol="show_of_hands",
    )
