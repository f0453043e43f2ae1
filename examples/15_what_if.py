"""What if one agent had heard some news? Two futures of a run, without and with an event, and where they part.

Both draw the same random numbers, and only what the news changes is asked: other replies come from the record. From a shell:

sandbox run value_alignment --rounds 2 --out runs/village
sandbox what-if runs/village@1 --event "The mill has burnt down." --event-to 5 --out runs/mill
"""

from pathlib import Path

from sandbox import WhatIf, World, what_if


def main(out: str | Path = "runs", **settings: object) -> WhatIf:
    """Run a society for two rounds; then go back to the first and tell agent 5 what has happened."""
    world = World("value_alignment", out=Path(out) / "village", **settings)
    world.run(rounds=2)
    world.close()

    found = what_if(f"{world.path}@1", "The mill has burnt down.", to=5, out=Path(out) / "mill")
    print(f"{found.saved} of {found.needed} calls were taken from the record")
    for reached in found.reach:
        print(f"round {reached['round']}: {reached['differs']} of {reached['agents']} interactions differ")
    for one in found.divergences[:3]:
        print(f"agent {one.agent}, {one.part}\n  without: {one.first}\n  with:    {one.second}")
    change = found.metrics["alignment"]
    print(f"alignment: {change['difference']:+z.2f} [{change['low']:+z.2f}, {change['high']:+z.2f}]")
    return found


if __name__ == "__main__":
    main()
