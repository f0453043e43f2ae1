"""What whoever writes a package tests: each plugin, by the name it is installed under, does what its kind promises."""

from sandbox.testing import (
    check_embedder,
    check_memory,
    check_model,
    check_plot,
    check_protocol,
    check_rater,
    check_scenario,
    check_trainer,
)


def test_scenario():
    check_scenario("townhall", first=3)


def test_protocol():
    check_protocol("show_of_hands")


def test_model():
    check_model("speaker:green")


def test_rater():
    check_rater("politeness")


def test_embedder():
    check_embedder("letters")


def test_memory():
    check_memory("minutes")


def test_trainer():
    check_trainer("best_of")


def test_plot():
    check_plot("speaking_time")
