"""Hearing and memory: neighbours talk, a moderator speaks to all, and a memory of one's own decides what is recalled.

sandbox run ./examples/12_hearing_and_memory.py --size 3 --rounds 4 --out runs/talk
sandbox run ./examples/12_hearing_and_memory.py --size 3 --rounds 4 --set memory=stream --set memory.items=4 --out runs/stream
python -c "from sandbox import open_run; print(open_run('runs/talk').heard())"
"""

from sandbox import Recollection, Scenario


class Confidant:
    """Recalls what was heard from the speaker that was heard most often, the newest last."""

    def __init__(self, rest="", *, owner, items: int = 3):
        self.owner, self.n = owner, items
        self.heard = []

    def remember(self, items):
        """Keep what was heard."""
        self.heard += [item for item in items if item.kind == "heard"]

    def recall(self, question):
        """The newest of it, whatever the question."""
        if not self.heard:
            return None
        speakers = [item.speaker for item in self.heard]
        friend = max(sorted(set(speakers)), key=speakers.count)
        text = self.owner.listed([item for item in self.heard if item.speaker == friend][-self.n :])
        return Recollection(text, self.owner.prompts.remembered.format(items=text))


def talk(agent, question, world):
    """An agent answers, and its neighbours hear it; they recall it from the next round on."""
    recalled = agent.recall(question)
    reply = yield agent.answer(question)
    for other in world.audience(agent):
        other.hear(reply, from_=agent)
    return world.interaction(agent, question, draft=reply.text, recalled=recalled)


def remind(world):
    """Before the third round a moderator, who is no agent, speaks to all."""
    for agent in world.members:
        agent.hear("Please come to a decision.", from_="The moderator", importance=1.0)


scenario = Scenario(
    questions=["Should the village build a well or a road?"],
    protocol=talk,
    events={2: remind},
    society={"memory": Confidant, "reviewers": 2, "prior_memories": 0},
)
