"""The learner: a language model that has no replies of its own, and pauses the society until it is given them.

A pause leaves a round where it is, as an interruption does: what was said so far is in the record. The round is then run again
from its record, without repeating a call, and continues behind the reply. So there is no thread that an abandoned environment
could leave behind, and an error of the society is raised where the environment is stepped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.conversation.steps import Paused
from sandbox.environment.episode import Observation
from sandbox.errors import SettingsError
from sandbox.models.base import Reply, Request
from sandbox.society.agent import SocialAgent, read_choice

if TYPE_CHECKING:
    from sandbox.society.context import SocietyContext

Action = str | Reply


class Learner:
    """A language model whose replies are given from outside.

    Args:
        uri: Its URI in the record.

    Attributes:
        waiting: What it must answer before the society can continue.
        asked_last: The scheduler asks it when no other model has anything to do.
    """

    asked_last = True
    default_rater = "lm"

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.fingerprint = "learner"
        self.waiting: list[Observation] = []
        self._asked: dict[Request, Observation] = {}
        self._replies: dict[Request, Reply] = {}

    def on_ask(self, agent: SocialAgent, purpose: str, request: Request) -> None:
        """Note who asks for a reply, and why."""
        world: SocietyContext = agent.world
        self._asked[request] = Observation(
            agent.index, agent.name, agent.label, world.round, world.stage, purpose, request
        )

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Return the replies that were given.

        Raises:
            Paused: some are missing; :attr:`waiting` are their observations, by agent.
            SettingsError: it is asked as an observer.
        """
        if strangers := [request for request in requests if request not in self._asked]:
            raise SettingsError(
                f"the learner was asked {strangers[0].messages[-1].content[-60:]!r} as an observer, which has no reward; give "
                "the environment a model for observers: observer='scripted:', or a URI"
            )
        missing = [self._asked[request] for request in requests if request not in self._replies]
        if missing:
            self.waiting = sorted(missing, key=lambda one: one.agent)
            raise Paused(f"{len(missing)} replies of the learner")
        return [self._replies[request] for request in requests]

    def take(self, actions: Sequence[Action]) -> list[tuple[Observation, Reply]]:
        """Take the actions that answer :attr:`waiting`, in its order.

        Raises:
            SettingsError: there are more or fewer actions than observations, or one is no text.
        """
        if len(actions) != len(self.waiting):
            raise SettingsError(
                f"{len(actions)} actions for {len(self.waiting)} observations; give one text for each, in their order"
            )
        taken = []
        for one, action in zip(self.waiting, actions, strict=True):
            if not isinstance(action, str | Reply):
                raise SettingsError(
                    f"the action of agent {one.agent} ({one.purpose}) is {action!r}; give a text, or a Reply"
                )
            reply = action if isinstance(action, Reply) else reply_of(action, one.request)
            self._replies[one.request] = reply
            taken.append((one, reply))
        self.waiting = []
        return taken

    def forget(self) -> None:
        """Forget the requests of rounds that are complete."""
        self._asked.clear()
        self._replies.clear()


def reply_of(action: str, request: Request) -> Reply:
    """The reply that a text is.

    Where there are choices, it is the one that the text names; a text that names none is passed on as it is, and what follows
    from it is up to the protocol, as with the reply of a remote model. Tokens are counted as words.
    """
    prompt = sum(len(message.content.split()) for message in request.messages)
    text = action.strip()
    if request.prefix and text.startswith(request.prefix.strip()):
        text = text[len(request.prefix.strip()) :].strip()
    if not request.choices:
        return Reply(text, None, prompt, len(text.split()))
    named = text if text in request.choices else read_choice(text, request.choices).best
    reply = Reply(text, None, prompt)
    if named is None:
        return reply
    return replace(reply, text=named, choice_probs={choice: float(choice == named) for choice in request.choices})
