"""``python -m hull_sdk.cli``: the command ``hull`` where scripts are not on the path."""

from hull_sdk.cli import main

if __name__ == "__main__":
    main(prog_name="hull")
