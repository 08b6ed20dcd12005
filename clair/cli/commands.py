"""The commands and what the overview says about each; importing this loads no numerics."""

#: Module of each command, whose ``add_parser`` adds it, and what the help says about it. A module
#: is imported only for its own command: numpy, scipy and the tasks take a second to load.
COMMANDS = {
    "app": ("clair.cli.app", "open the app in a browser"),
    "simulate": (
        "clair.cli.simulate",
        "draw clients that share a subspace, poison some and see whom CLAIR finds",
    ),
    "audit": ("clair.cli.audit", "judge a folder of LoRA adapters"),
    "copytask": (
        "clair.cli.tasks",
        "fine-tune a small Transformer with poisoned clients",
    ),
    "regression": ("clair.cli.tasks", "many small regressions, some of them poisoned"),
    "digits": (
        "clair.cli.tasks",
        "fine-tune a small network on real digits at many clients, some of them poisoned",
    ),
    "llm": (
        "clair.cli.tasks",
        "fine-tune a real language model at many clients, some of them poisoned",
    ),
    "federation": (
        "clair.cli.tasks",
        "run several rounds of text copying under Flower, some clients poisoned or unlucky",
    ),
    "board": (
        "clair.cli.board",
        "five hospitals, one of them poisoned: the story for non-specialists",
    ),
    "theory": (
        "clair.cli.theory",
        "when CLAIR works and why: the numbers behind each section of the Theory page",
    ),
    "sweep": (
        "clair.cli.sweep",
        "any grid of problems and options: phase diagrams, repeats, your own attack or detector",
    ),
    "redteam": (
        "clair.cli.redteam",
        "play the attacker: search for the attack that does honest clients the most harm",
    ),
}
