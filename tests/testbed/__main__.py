"""`python -m testbed`: the parts of the virtual node, as commands."""

import click

from testbed import demo, engine, httpapp


@click.group()
def main() -> None:
    """Virtual GPUs, what serves on them, and what loads them."""


main.add_command(demo.command)
main.add_command(engine.command)
main.add_command(httpapp.command)

if __name__ == "__main__":
    main(prog_name="testbed")
